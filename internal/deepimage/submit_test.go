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
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
)

func TestSubmit(t *testing.T) {
	t.Parallel()
	vendor, client := setUp(t, deepimage.Config{})
	received := make(chan []byte, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		received <- body
	}))
	defer receiver.Close()
	job, err := client.Submit(t.Context(), []byte(`{"url":"https://example.com/a.png","webhooks":{"complete":"`+receiver.URL+`"}}`))
	if err != nil {
		t.Fatal(err)
	}
	var callback struct{ Job string }
	if err := json.Unmarshal(<-received, &callback); err != nil || callback.Job != job {
		t.Errorf("callback names job %s, %v, want %s", callback.Job, err, job)
	}
	if got, err := client.Result(t.Context(), job); err != nil || got.State != deepimage.Complete {
		t.Errorf("Result() = %+v, %v, want state %s", got, err, deepimage.Complete)
	}
	if vendor.Calls(fakevendortest.CallProcess) != 1 {
		t.Errorf("submissions = %d, want 1", vendor.Calls(fakevendortest.CallProcess))
	}
}

// TestSubmissionsAreSentOnce wants one request, whatever the response.
func TestSubmissionsAreSentOnce(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		fault fakevendortest.APIFault
		kind  deepimage.Kind
		shows string // of the vendor's message
	}{
		"answer lost":     {fault: fakevendortest.APIFault{Kind: fakevendortest.LoseAnswer}, kind: deepimage.KindOutcome},
		"connection lost": {fault: fakevendortest.APIFault{Kind: fakevendortest.Drop}, kind: deepimage.KindOutcome},
		"hang":            {fault: fakevendortest.APIFault{Kind: fakevendortest.Delay}, kind: deepimage.KindOutcome},
		"cut":             {fault: fakevendortest.APIFault{Kind: fakevendortest.Truncate}, kind: deepimage.KindOutcome},
		"flood":           {fault: fakevendortest.APIFault{Kind: fakevendortest.Flood}, kind: deepimage.KindOutcome},
		"no job":          {fault: fakevendortest.APIFault{Kind: fakevendortest.ReportStatus, Message: "received"}, kind: deepimage.KindOutcome},
		"502 page":        {fault: fakevendortest.APIFault{Kind: fakevendortest.Gateway}, kind: deepimage.KindOutcome},
		"503":             {fault: fakevendortest.APIFault{Kind: fakevendortest.Refuse}, kind: deepimage.KindOutcome},
		"408":             {fault: fakevendortest.APIFault{Kind: fakevendortest.Refuse, Status: 408}, kind: deepimage.KindOutcome},
		"429":             {fault: fakevendortest.APIFault{Kind: fakevendortest.Limit}, kind: deepimage.KindSlots},
		"400":             {fault: fakevendortest.APIFault{Kind: fakevendortest.Refuse, Status: 400, Message: "width is missing"}, kind: deepimage.KindRefused, shows: "width is missing"},
		"413 page":        {fault: fakevendortest.APIFault{Kind: fakevendortest.Gateway, Status: 413}, kind: deepimage.KindRefused},
		"bad image":       {fault: fakevendortest.APIFault{Kind: fakevendortest.Refuse, Status: 422, Message: "The image at https://x.test/t0ken is broken"}, kind: deepimage.KindRefused, shows: "The image at [address] is broken"},
		"402":             {fault: fakevendortest.APIFault{Kind: fakevendortest.Refuse, Status: 402}, kind: deepimage.KindCredits},
		"credits by 403":  {fault: fakevendortest.APIFault{Kind: fakevendortest.Refuse, Status: 403, Message: "Not enough Credits"}, kind: deepimage.KindCredits, shows: "Not enough Credits"},
		"403":             {fault: fakevendortest.APIFault{Kind: fakevendortest.Refuse, Status: 403, Message: "no"}, kind: deepimage.KindKey},
		"wrong key":       {fault: fakevendortest.APIFault{Kind: fakevendortest.Refuse, Status: 404, Message: "No user found for provided token"}, kind: deepimage.KindKey},
		"not the API":     {fault: fakevendortest.APIFault{Kind: fakevendortest.Gateway, Status: 404}, kind: deepimage.KindUnavailable},
		"redirect":        {fault: fakevendortest.APIFault{Kind: fakevendortest.RedirectCall, Location: "/rest_api/process_result"}, kind: deepimage.KindUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := deepimage.Config{}
			if name == "hang" {
				config.SubmitTimeout = 50 * time.Millisecond
			}
			vendor, client := setUp(t, config)
			row.fault.Times = 1
			if err := vendor.AddAPIFaults(row.fault); err != nil {
				t.Fatal(err)
			}
			job, err := client.Submit(t.Context(), []byte(`{"url":"https://example.com/a.png"}`))
			if job != "" || deepimage.KindOf(err) != row.kind || !strings.Contains(err.Error(), row.shows) {
				t.Errorf("Submit() = %q, %v, want kind %s with %q", job, err, row.kind, row.shows)
			}
			if calls := vendor.Calls(fakevendortest.CallProcess) + vendor.Calls(fakevendortest.CallProcessResult); calls != 1 {
				t.Errorf("submissions = %d, want 1", calls)
			}
		})
	}
}

func TestPlanLimits(t *testing.T) {
	t.Parallel()
	vendor := startVendor(t, fakevendortest.Processing{Time: forever, Slots: 1, Credits: 2})
	client := newClient(t, vendor.APIURL(), deepimage.Config{})
	for n, want := range []deepimage.Kind{"", deepimage.KindSlots, deepimage.KindSlots} {
		if _, err := client.Submit(t.Context(), []byte(`{}`)); deepimage.KindOf(err) != want {
			t.Errorf("submission %d = %v, want kind %q", n, err, want)
		}
	}
	if _, err := client.Result(t.Context(), "no-such-job"); err != nil {
		t.Errorf("Result() while all slots are taken = %v, want no error", err)
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
			t.Errorf("%s: Submit() = %v, want kind %s", name, err, deepimage.KindRefused)
		}
	}
	if vendor.Calls(fakevendortest.CallProcess) != 0 {
		t.Errorf("submissions = %d, want 0", vendor.Calls(fakevendortest.CallProcess))
	}
}

func TestParseSubmission(t *testing.T) {
	t.Parallel()
	client := newClient(t, "http://127.0.0.1:1", deepimage.Config{})
	for name, row := range map[string]struct {
		status int
		body   string
		job    string
		kind   deepimage.Kind
	}{
		"job":                {status: 200, body: `{"job":"J"}`, job: "J"},
		"job and status":     {status: 201, body: `{"job":"J","status":"not_started"}`, job: "J"},
		"failed":             {status: 500, body: `{"status":"failed","job":"J","message":"no image"}`, kind: deepimage.KindRefused},
		"failed with 200":    {status: 200, body: `{"status":"failed","job":"J"}`, kind: deepimage.KindRefused},
		"error of a server":  {status: 500, body: `{"status":"error","message":"no"}`, kind: deepimage.KindOutcome},
		"job is no string":   {status: 200, body: `{"job":7}`, kind: deepimage.KindOutcome},
		"job is empty":       {status: 200, body: `{"job":""}`, kind: deepimage.KindOutcome},
		"job is too long":    {status: 200, body: `{"job":"` + strings.Repeat("x", 257) + `"}`, kind: deepimage.KindOutcome},
		"job has a line end": {status: 200, body: `{"job":"a\nb"}`, kind: deepimage.KindOutcome},
		"empty":              {status: 200, body: ``, kind: deepimage.KindOutcome},
		"teapot":             {status: 418, body: `{}`, kind: deepimage.KindUnavailable},
	} {
		job, failed := client.ParseSubmission(row.status, http.Header{}, []byte(row.body))
		if job != row.job || (failed == nil) != (row.kind == "") || failed != nil && failed.Kind != row.kind {
			t.Errorf("%s: ParseSubmission() = %q, %v, want %q, kind %q", name, job, failed, row.job, row.kind)
		}
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	vendor, client := setUp(t, deepimage.Config{CacheTime: forever})
	job := newJob(t, vendor, fakevendortest.JobOptions{})
	if got, err := client.Result(t.Context(), job.ID); err != nil || got.State != deepimage.Complete {
		t.Fatalf("Result() = %+v, %v, want state %s", got, err, deepimage.Complete)
	}
	for range 2 {
		if err := client.Delete(t.Context(), job.ID); err != nil {
			t.Error(err)
		}
		got, err := client.Result(t.Context(), job.ID)
		checkStatus(t, got, err, deepimage.JobStatus{Job: job.ID, State: deepimage.Deleted})
	}
	if err := client.Delete(t.Context(), "no-such-job"); err != nil {
		t.Error(err)
	}
	if got, err := client.Result(t.Context(), "no-such-job"); err != nil || got.State != deepimage.Unknown {
		t.Errorf("Result() = %+v, %v, want state %s", got, err, deepimage.Unknown)
	}
}

func TestParseDeletion(t *testing.T) {
	t.Parallel()
	client := newClient(t, "http://127.0.0.1:1", deepimage.Config{})
	page := http.Header{"Content-Type": {"text/html"}}
	for name, row := range map[string]struct {
		status int
		header http.Header
		body   string
		kind   deepimage.Kind // "" is success
	}{
		"no content": {status: 204, body: ``},
		"empty":      {status: 200, body: ``},
		"message":    {status: 200, body: `{"message":"ok"}`},
		"gone":       {status: 410, body: `{"message":"Image deleted"}`},
		"text":       {status: 200, body: `OK`},
		"cut":        {status: 200, body: `{"message":`},
		"no type":    {status: 200, body: ` <!DOCTYPE html>`, kind: deepimage.KindUnavailable},
		"page":       {status: 200, header: page, body: `<html>`, kind: deepimage.KindUnavailable},
		"error":      {status: 200, body: `{"status":"error"}`, kind: deepimage.KindUnavailable},
		"400":        {status: 400, body: `{"message":"no"}`, kind: deepimage.KindRefused},
		"403":        {status: 403, body: `{"message":"no"}`, kind: deepimage.KindRefused},
		"404":        {status: 404, body: `{"message":"Not Found"}`, kind: deepimage.KindRefused},
		"404 page":   {status: 404, header: page, body: `<html>`, kind: deepimage.KindUnavailable},
		"405":        {status: 405, body: `{"message":"Method not allowed"}`, kind: deepimage.KindRefused},
		"405 page":   {status: 405, header: page, body: `<html>`, kind: deepimage.KindUnavailable},
		"failed":     {status: 500, body: `{"status":"failed","job":"J"}`, kind: deepimage.KindUnavailable},
		"wrong key":  {status: 404, body: `{"message":"No user found for provided token"}`, kind: deepimage.KindKey},
		"429":        {status: 429, body: ``, kind: deepimage.KindLimited},
	} {
		failed := client.ParseDeletion(row.status, row.header, []byte(row.body), "J")
		if (failed == nil) != (row.kind == "") || failed != nil && failed.Kind != row.kind {
			t.Errorf("%s: ParseDeletion() = %v, want kind %q", name, failed, row.kind)
		}
	}
}

func TestKindOfOthers(t *testing.T) {
	t.Parallel()
	if deepimage.KindOf(nil) != "" || deepimage.KindOf(errors.New("x")) != "" {
		t.Errorf("KindOf() of other errors = %q, want none", deepimage.KindOf(errors.New("x")))
	}
}
