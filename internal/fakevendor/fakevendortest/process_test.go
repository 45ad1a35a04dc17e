package fakevendortest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
)

// endless is a processing time that no test waits for.
const endless = time.Hour

func startWith(t *testing.T, processing fakevendortest.Processing) *fakevendortest.Vendor {
	t.Helper()
	vendor, err := fakevendortest.Start(t.Context(), fakevendortest.Options{Processing: processing})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := vendor.Close(); err != nil {
			t.Error(err)
		}
	})
	return vendor
}

// callbacks gathers what is posted to it.
func callbacks(t *testing.T) (webhook string, bodies <-chan string) {
	t.Helper()
	gathered := make(chan string, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		gathered <- string(body)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/hook", gathered
}

func jobIn(t *testing.T, body string) string {
	t.Helper()
	var named struct{ Job string }
	if err := json.Unmarshal([]byte(body), &named); err != nil || named.Job == "" {
		t.Fatalf("body = %s, error %v, want one with a job", body, err)
	}
	return named.Job
}

func TestProcess(t *testing.T) {
	t.Parallel()
	vendor := startWith(t, fakevendortest.Processing{Time: 3 * time.Millisecond})
	webhook, bodies := callbacks(t)
	got := mustCall(t, vendor, http.MethodPost, "/process", `{"url":"https://example.com/a.png","webhooks":{"complete":"`+webhook+`"}}`)
	id := jobIn(t, got.body)
	if got.status != http.StatusOK || !strings.Contains(got.body, `"received"`) {
		t.Errorf("response = %+v, want 200 and the status received", got)
	}
	callback := <-bodies
	if jobIn(t, callback) != id || !strings.Contains(callback, `"url":"https://example.com/a.png"`) || !strings.Contains(callback, webhook) {
		t.Errorf("callback = %s, want the job %s with the URLs of the request", callback, id)
	}
	if got := mustCall(t, vendor, http.MethodGet, "/result/"+id, ""); !strings.Contains(got.body, `"status":"complete"`) {
		t.Errorf("response = %+v, want the status complete", got)
	}
}

func TestProcessResultWaits(t *testing.T) {
	t.Parallel()
	vendor := startWith(t, fakevendortest.Processing{Time: 3 * time.Millisecond})
	if got := mustCall(t, vendor, http.MethodPost, "/process_result", `{}`); got.status != http.StatusOK || !strings.Contains(got.body, `"status":"complete"`) {
		t.Errorf("response = %+v, want 200 and the status complete", got)
	}
	failing := startWith(t, fakevendortest.Processing{End: fakevendortest.Failed})
	if got := mustCall(t, failing, http.MethodPost, "/process_result", `{}`); got.status != http.StatusInternalServerError || !strings.Contains(got.body, `"failed"`) {
		t.Errorf("response = %+v, want 500 and the status failed", got)
	}
}

func TestProcessBeyondPlan(t *testing.T) {
	t.Parallel()
	slots := startWith(t, fakevendortest.Processing{Time: endless, Slots: 2})
	for n, want := range []int{200, 200, 429} {
		if got := mustCall(t, slots, http.MethodPost, "/process", `{}`); got.status != want {
			t.Errorf("submission %d = %+v, want %d", n, got, want)
		}
	}
	credits := startWith(t, fakevendortest.Processing{Credits: 1})
	for n, want := range []int{200, 402} {
		if got := mustCall(t, credits, http.MethodPost, "/process", `{}`); got.status != want {
			t.Errorf("submission %d = %+v, want %d", n, got, want)
		}
	}
	for _, body := range []string{"", "null", "[]", `{"webhooks":1}`} {
		if got := mustCall(t, slots, http.MethodPost, "/process", body); got.status != http.StatusBadRequest {
			t.Errorf("submission of %q = %+v, want 400", body, got)
		}
	}
}

func TestSwallowedSubmissionHasItsJob(t *testing.T) {
	t.Parallel()
	vendor := startWith(t, fakevendortest.Processing{})
	webhook, bodies := callbacks(t)
	if err := vendor.AddAPIFaults(fakevendortest.APIFault{Kind: fakevendortest.LoseAnswer, Call: fakevendortest.CallProcess, Times: 1}); err != nil {
		t.Fatal(err)
	}
	if got, err := call(t, vendor, http.MethodPost, "/process", `{"webhooks":{"complete":"`+webhook+`"}}`); err == nil {
		t.Errorf("response = %+v, want an error", got)
	}
	jobIn(t, <-bodies)
}

func TestChancesOfSubmittedJobs(t *testing.T) {
	t.Parallel()
	ended := make(chan fakevendortest.Delivery, 100)
	plan := fakevendortest.Plan{Chances: fakevendortest.Chances{Forge: 1, Double: 1}, Delivered: func(d fakevendortest.Delivery) { ended <- d }}
	vendor := startWith(t, fakevendortest.Processing{Callbacks: plan})
	webhook, bodies := callbacks(t)
	id := jobIn(t, mustCall(t, vendor, http.MethodPost, "/process", `{"webhooks":{"complete":"`+webhook+`"}}`).body)
	forged, own := 0, 0
	for range 3 {
		if d := <-ended; d.Forged {
			forged++
		} else if d.Job.ID == id {
			own++
		}
		<-bodies
	}
	if forged != 1 || own != 2 {
		t.Errorf("forged = %d, own = %d, want 1 and 2", forged, own)
	}
}
