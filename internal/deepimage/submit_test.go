package deepimage_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
	fakevendor "github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
)

func TestSubmit(t *testing.T) {
	t.Parallel()
	vendor, client := setUp(t, deepimage.Config{})
	told := make(chan []byte, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		told <- body
	}))
	defer receiver.Close()
	job, err := client.Submit(t.Context(), []byte(`{"url":"https://example.com/a.png","webhooks":{"complete":"`+receiver.URL+`"}}`))
	if err != nil {
		t.Fatal(err)
	}
	var callback struct{ Job string }
	if err := json.Unmarshal(<-told, &callback); err != nil || callback.Job != job {
		t.Errorf("%s was called back for %s: %v", callback.Job, job, err)
	}
	if got, err := client.Result(t.Context(), job); err != nil || got.State != deepimage.Complete {
		t.Errorf("%+v, %v", got, err)
	}
	if vendor.Calls(fakevendor.CallProcess) != 1 {
		t.Errorf("%d submissions", vendor.Calls(fakevendor.CallProcess))
	}
}

// TestASubmissionIsSentOnce wants, whatever happens, no second one.
func TestASubmissionIsSentOnce(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		trouble fakevendor.Trouble
		kind    deepimage.Kind
		says    string
	}{
		"answer lost":     {fakevendor.Trouble{Kind: fakevendor.Swallow}, deepimage.KindOutcome, "closed the connection too early; whether the job was taken is not known"},
		"connection lost": {fakevendor.Trouble{Kind: fakevendor.Drop}, deepimage.KindOutcome, "not known"},
		"hang":            {fakevendor.Trouble{Kind: fakevendor.Lag}, deepimage.KindOutcome, "the time was over"},
		"cut":             {fakevendor.Trouble{Kind: fakevendor.Cut}, deepimage.KindOutcome, "not known"},
		"flood":           {fakevendor.Trouble{Kind: fakevendor.Flood}, deepimage.KindOutcome, "not known"},
		"no job":          {fakevendor.Trouble{Kind: fakevendor.Say, Says: "received"}, deepimage.KindOutcome, "not known"},
		"502 page":        {fakevendor.Trouble{Kind: fakevendor.Gateway}, deepimage.KindOutcome, "502"},
		"503":             {fakevendor.Trouble{Kind: fakevendor.Refuse}, deepimage.KindOutcome, "503"},
		"408":             {fakevendor.Trouble{Kind: fakevendor.Refuse, Status: 408}, deepimage.KindOutcome, "408"},
		"429":             {fakevendor.Trouble{Kind: fakevendor.Limit}, deepimage.KindSlots, "as many jobs are under way as the plan"},
		"400":             {fakevendor.Trouble{Kind: fakevendor.Refuse, Status: 400, Says: "width is missing"}, deepimage.KindRefused, "400 Bad Request: width is missing"},
		"413 page":        {fakevendor.Trouble{Kind: fakevendor.Gateway, Status: 413}, deepimage.KindRefused, "413"},
		"bad image":       {fakevendor.Trouble{Kind: fakevendor.Refuse, Status: 422, Says: "The image at https://x.test/t0ken is broken"}, deepimage.KindRefused, "The image at [address] is broken"},
		"402":             {fakevendor.Trouble{Kind: fakevendor.Refuse, Status: 402}, deepimage.KindCredits, "too few credits"},
		"credits by 403":  {fakevendor.Trouble{Kind: fakevendor.Refuse, Status: 403, Says: "Not enough Credits"}, deepimage.KindCredits, "too few credits for this job: Not enough Credits"},
		"403":             {fakevendor.Trouble{Kind: fakevendor.Refuse, Status: 403, Says: "no"}, deepimage.KindKey, "does not take the key"},
		"wrong key":       {fakevendor.Trouble{Kind: fakevendor.Refuse, Status: 404, Says: "No user found for provided token"}, deepimage.KindKey, "does not take the key"},
		"not the API":     {fakevendor.Trouble{Kind: fakevendor.Gateway, Status: 404}, deepimage.KindUnavailable, "404"},
		"redirect":        {fakevendor.Trouble{Kind: fakevendor.Bounce, Location: "/rest_api/process_result"}, deepimage.KindUnavailable, "redirect"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := deepimage.Config{}
			if name == "hang" {
				config.SubmitTimeout = 50 * time.Millisecond
			}
			vendor, client := setUp(t, config)
			row.trouble.Times = 1
			if err := vendor.Disturb(row.trouble); err != nil {
				t.Fatal(err)
			}
			job, err := client.Submit(t.Context(), []byte(`{"url":"https://example.com/a.png"}`))
			if job != "" || deepimage.KindOf(err) != row.kind || !strings.Contains(err.Error(), row.says) {
				t.Errorf("%q, %v", job, err)
			}
			if calls := vendor.Calls(fakevendor.CallProcess) + vendor.Calls(fakevendor.CallProcessResult); calls != 1 {
				t.Errorf("%d submissions", calls)
			}
		})
	}
}

func TestThePlanIsUsedUp(t *testing.T) {
	t.Parallel()
	vendor := startVendor(t, fakevendor.Processing{Time: forever, Slots: 1, Credits: 2})
	client := newClient(t, vendor.APIURL(), deepimage.Config{})
	for n, want := range []deepimage.Kind{"", deepimage.KindSlots, deepimage.KindSlots} {
		if _, err := client.Submit(t.Context(), []byte(`{}`)); deepimage.KindOf(err) != want {
			t.Errorf("submission %d: %v", n, err)
		}
	}
	if _, err := client.Result(t.Context(), "nobody"); err != nil {
		t.Errorf("full slots keep look-ups waiting: %v", err)
	}
}

func TestRequestsThatAreNotSent(t *testing.T) {
	t.Parallel()
	vendor, client := setUp(t, deepimage.Config{})
	for name, request := range map[string][]byte{
		"empty": nil, "list": []byte(`[]`), "null": []byte(`null`), "cut": []byte(`{`), "two": []byte(`{}{}`), "twice": []byte(`{"a":1,"a":2}`),
		"too long": bytes.Repeat([]byte(" "), deepimage.MaxRequestBytes+1),
	} {
		if _, err := client.Submit(t.Context(), request); deepimage.KindOf(err) != deepimage.KindRefused {
			t.Errorf("%s: %v", name, err)
		}
	}
	if vendor.Calls(fakevendor.CallProcess) != 0 {
		t.Error("something was sent")
	}
}

func TestFailedSubmissions(t *testing.T) {
	t.Parallel()
	client := newClient(t, "http://127.0.0.1:1", deepimage.Config{})
	for name, row := range map[string]struct {
		status int
		body   string
		job    string
		kind   deepimage.Kind
	}{
		"job":                {200, `{"job":"J"}`, "J", ""},
		"job and status":     {201, `{"job":"J","status":"not_started"}`, "J", ""},
		"failed":             {500, `{"status":"failed","job":"J","message":"no image"}`, "", deepimage.KindRefused},
		"failed with 200":    {200, `{"status":"failed","job":"J"}`, "", deepimage.KindRefused},
		"error of a server":  {500, `{"status":"error","message":"no"}`, "", deepimage.KindOutcome},
		"job is no string":   {200, `{"job":7}`, "", deepimage.KindOutcome},
		"job is empty":       {200, `{"job":""}`, "", deepimage.KindOutcome},
		"job is too long":    {200, `{"job":"` + strings.Repeat("x", 257) + `"}`, "", deepimage.KindOutcome},
		"job has a line end": {200, `{"job":"a\nb"}`, "", deepimage.KindOutcome},
		"empty":              {200, ``, "", deepimage.KindOutcome},
		"teapot":             {418, `{}`, "", deepimage.KindUnavailable},
	} {
		job, failed := client.ReadSubmission(row.status, http.Header{}, []byte(row.body))
		if job != row.job || (failed == nil) != (row.kind == "") || failed != nil && failed.Kind != row.kind {
			t.Errorf("%s: %q, %v", name, job, failed)
		}
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	vendor, client := setUp(t, deepimage.Config{CacheTime: forever})
	job := newJob(t, vendor, fakevendor.JobOptions{})
	if got, err := client.Result(t.Context(), job.ID); err != nil || got.State != deepimage.Complete {
		t.Fatalf("%+v, %v", got, err)
	}
	for range 2 {
		if err := client.Delete(t.Context(), job.ID); err != nil {
			t.Error(err)
		}
		got, err := client.Result(t.Context(), job.ID)
		checkVerdict(t, got, err, deepimage.Verdict{Job: job.ID, State: deepimage.Deleted})
	}
	if err := client.Delete(t.Context(), "nobody"); err != nil {
		t.Error(err)
	}
	if got, err := client.Result(t.Context(), "nobody"); err != nil || got.State != deepimage.Unknown {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestDeletionsThatFail(t *testing.T) {
	t.Parallel()
	client := newClient(t, "http://127.0.0.1:1", deepimage.Config{})
	page := http.Header{"Content-Type": {"text/html"}}
	for name, row := range map[string]struct {
		status int
		header http.Header
		body   string
		kind   deepimage.Kind // "" is done
	}{
		"no content": {204, nil, ``, ""},
		"empty":      {200, nil, ``, ""},
		"message":    {200, nil, `{"message":"ok"}`, ""},
		"gone":       {410, nil, `{"message":"Image deleted"}`, ""},
		"text":       {200, nil, `OK`, ""},
		"cut":        {200, nil, `{"message":`, ""},
		"no type":    {200, nil, ` <!DOCTYPE html>`, deepimage.KindUnavailable},
		"page":       {200, page, `<html>`, deepimage.KindUnavailable},
		"error":      {200, nil, `{"status":"error"}`, deepimage.KindUnavailable},
		"400":        {400, nil, `{"message":"no"}`, deepimage.KindRefused},
		"403":        {403, nil, `{"message":"no"}`, deepimage.KindRefused},
		"404":        {404, nil, `{"message":"Not Found"}`, deepimage.KindRefused},
		"404 page":   {404, page, `<html>`, deepimage.KindUnavailable},
		"405":        {405, nil, `{"message":"Method not allowed"}`, deepimage.KindRefused},
		"405 page":   {405, page, `<html>`, deepimage.KindUnavailable},
		"failed":     {500, nil, `{"status":"failed","job":"J"}`, deepimage.KindUnavailable},
		"wrong key":  {404, nil, `{"message":"No user found for provided token"}`, deepimage.KindKey},
		"429":        {429, nil, ``, deepimage.KindLimited},
	} {
		failed := client.ReadDeletion(row.status, row.header, []byte(row.body), "J")
		if (failed == nil) != (row.kind == "") || failed != nil && failed.Kind != row.kind {
			t.Errorf("%s: %v", name, failed)
		}
	}
}

func TestKindOfOthers(t *testing.T) {
	t.Parallel()
	if deepimage.KindOf(nil) != "" || deepimage.KindOf(errors.New("x")) != "" {
		t.Error("an error of others has a kind")
	}
}
