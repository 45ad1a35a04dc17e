package app_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/api/apitest"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/deepimage-receiver/receiver/internal/testkit/storetest"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
)

// submitting is a receiver that submits jobs to a vendor and records its callbacks.
type submitting struct {
	*receiver
	vendor *fakevendortest.Vendor
	client *http.Client
	calls  calls
}

// calls are the recorded callbacks.
type calls struct {
	mutex sync.Mutex
	list  []call
	first chan struct{} // closed after the response to the first
}

type call struct {
	path string
	body []byte
}

func (c *calls) add(path string, body []byte) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.list = append(c.list, call{path, body})
}

func (c *calls) answered() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if len(c.list) == 1 {
		close(c.first)
	}
}

// wait returns the first callback.
func (c *calls) wait(t testing.TB) call {
	t.Helper()
	select {
	case <-c.first:
	case <-time.After(testkit.Timeout):
		t.Fatal("got no callback, want one")
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.list[0]
}

// startSubmitting starts a vendor, and a receiver whose configuration change may change.
func startSubmitting(t *testing.T, place *databasetest.Place, options fakevendortest.Options, change func(*submitting, *config.Config)) *submitting {
	t.Helper()
	v, err := fakevendortest.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	client := newClient(t)
	client.Transport = apitest.Load(t).Transport(t, client.Transport)
	s := &submitting{vendor: v, client: client, calls: calls{first: make(chan struct{})}}
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		s.calls.add(r.URL.Path, body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxyTo(t, s.url("")).ServeHTTP(w, r)
		s.calls.answered()
	}))
	t.Cleanup(outside.Close)
	c := trusting(t, place, v)
	c.PublicURL = outside.URL
	if change != nil {
		change(s, &c)
	}
	s.receiver = start(t, c)
	return s
}

func proxyTo(t testing.TB, address string) *httputil.ReverseProxy {
	t.Helper()
	target, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{DisableKeepAlives: true},
	}
}

// submission is a tracked job or a problem, as the admin API returns it.
type submission struct {
	ID, Job, State, Origin, Event, Detail, Type string

	event.Names
}

const aRequest = `{"url":"https://example.com/a.png","width":2000}`

func (s *submitting) submit(t testing.TB, query, request string) (status int, got submission) {
	t.Helper()
	status = s.ask(t, s.client, http.MethodPost, "/api/v1/jobs"+query, request, &got)
	return status, got
}

// becomes waits until a tracked job is in a state.
func (s *submitting) becomes(t testing.TB, id, state string) (got submission) {
	t.Helper()
	s.until(t, func() (bool, any) {
		s.ask(t, s.client, http.MethodGet, "/api/v1/jobs/"+id, "", &got)
		return got.State == state, got
	})
	return got
}

// jobs are all tracked jobs, newest first.
func (s *submitting) jobs(t testing.TB) (list []submission) {
	t.Helper()
	var got struct{ Jobs []submission }
	s.ask(t, s.client, http.MethodGet, "/api/v1/jobs", "", &got)
	return got.Jobs
}

// The token of a submitted job is valid for one callback of that job.
func TestSubmittedJobHasItsOwnToken(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := startSubmitting(t, place, fakevendortest.Options{}, nil)
		status, got := s.submit(t, "?reference=SKU-4711+rot&input=ignored.png", aRequest)
		if status != http.StatusCreated || got.Job == "" || got.Origin != "submitted" {
			t.Fatalf("status = %d, job = %+v; want 201 and a submitted job", status, got)
		}
		id := event.ID(s.becomes(t, got.ID, "arrived").Event)
		if h := s.reaches(t, id, event.Done); h.Event.Job != got.Job || h.Event.Origin != event.OriginCallback || len(h.Artifacts) != 2 {
			t.Errorf("event = %+v with %d artifacts, want job %s by callback with 2", h.Event, len(h.Artifacts), got.Job)
		}
		if h, want := s.reaches(t, id, event.Done), (event.Names{Input: "a.png", Reference: "SKU-4711 rot"}); h.Event.Names != want || got.Names != want {
			t.Errorf("names of the event and the job = %+v, %+v; want %+v", h.Event.Names, got.Names, want)
		}
		first := s.calls.wait(t)
		own := s.url(first.path)
		rows := []struct {
			name, url, body string
			code            int
			status          string
		}{
			{name: "another result", url: own, body: `{"job":"` + got.Job + `","result_url":"https://deep-image.ai/other.png"}`, code: 401},
			{name: "another job", url: own, body: `{"job":"c0ffee","result_url":"https://deep-image.ai/other.png"}`, code: 401},
			{name: "D5 not an event", url: own, body: `{"jab":"c0ffee"}`, code: 401},
			{name: "D5 malformed", url: own, body: `{`, code: 401},
			{name: "unknown token", url: s.url("/webhooks/deep-image/job-ABCDEFGHIJKLMNOPQRSTUVWXYZ"), body: `{"job":"c0ffee"}`, code: 401},
			{name: "the same body", url: own, body: string(first.body), code: 200, status: "duplicate"},
			{name: "token for all jobs", url: s.webhook(), body: `{"job":"c0ffee"}`, code: 200, status: "accepted"},
		}
		for _, row := range rows {
			if a := post(t, s.client, row.url, []byte(row.body)); a.code != row.code || a.Status != row.status || row.status == "duplicate" && a.ID != id {
				t.Errorf("%s: receipt = %+v, want %d %s", row.name, a, row.code, row.status)
			}
		}
		s.checkTokenIsSecret(t, id, first)
		var rejected struct{ Rejections []struct{ Seq int } }
		if s.ask(t, s.client, http.MethodGet, "/api/v1/rejections", "", &rejected); len(rejected.Rejections) != 0 {
			t.Errorf("D5: %d rejections are kept, want none", len(rejected.Rejections))
		}
	})
}

// checkTokenIsSecret checks that the token is in the callback, and neither in the log nor in the payload.
func (s *submitting) checkTokenIsSecret(t *testing.T, id event.ID, first call) {
	t.Helper()
	own := first.path[strings.LastIndex(first.path, "/")+1:]
	var shown struct{ Payload json.RawMessage }
	s.ask(t, s.client, http.MethodGet, "/api/v1/events/"+string(id), "", &shown)
	if !strings.HasPrefix(own, "job-") || !strings.Contains(string(first.body), own) {
		t.Errorf("token = %q, callback = %s; want a job token that the callback echoes", own, first.body)
	}
	if strings.Contains(s.log.String(), own) || strings.Contains(string(shown.Payload), own) || !strings.Contains(string(shown.Payload), "2000") {
		t.Errorf("payload = %s, want the request without the token, nor the token in the log:\n%s", shown.Payload, s.log)
	}
}

// A callback may arrive before the vendor's response to the submission.
func TestCallbackBeforeTheResponse(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := startSubmitting(t, place, fakevendortest.Options{}, func(s *submitting, c *config.Config) {
			through := proxyTo(t, strings.TrimSuffix(s.vendor.APIURL(), "/rest_api"))
			through.ModifyResponse = func(response *http.Response) error {
				if response.Request.Method == http.MethodPost {
					<-s.calls.first
				}
				return nil
			}
			api := httptest.NewServer(through)
			t.Cleanup(api.Close)
			c.DeepImage.URL = api.URL + "/rest_api"
		})
		status, got := s.submit(t, "", aRequest)
		if status != http.StatusCreated || got.Job == "" {
			t.Fatalf("status = %d, job = %+v; want 201 and a job", status, got)
		}
		s.reaches(t, event.ID(s.becomes(t, got.ID, "arrived").Event), event.Done)
		if list := s.jobs(t); len(list) != 1 || list[0].Job != got.Job {
			t.Errorf("tracked jobs = %+v, want only %s", list, got.Job)
		}
	})
}

// A submission without a response of the vendor is not sent again. Its callback names the job.
func TestSubmissionWithoutAResponse(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := startSubmitting(t, place, fakevendortest.Options{}, nil)
		if err := s.vendor.AddAPIFaults(fakevendortest.APIFault{Kind: fakevendortest.LoseAnswer, Call: fakevendortest.CallProcess, Times: 1}); err != nil {
			t.Fatal(err)
		}
		status, got := s.submit(t, "?wait=10", aRequest)
		list := s.jobs(t)
		if status != http.StatusBadGateway || got.Type != "urn:deepimage-receiver:problem:unknown_outcome" || len(list) != 1 || !strings.Contains(got.Detail, list[0].ID) {
			t.Fatalf("status = %d, problem = %+v, tracked jobs = %+v; want 502 unknown_outcome with the id of one job", status, got, list)
		}
		arrived := s.becomes(t, list[0].ID, "arrived")
		if h := s.reaches(t, event.ID(arrived.Event), event.Done); h.Event.Job != arrived.Job {
			t.Errorf("job = %s, want %s", h.Event.Job, arrived.Job)
		}
		if n := s.vendor.Calls(fakevendortest.CallProcess); n != 1 {
			t.Errorf("sent %d times, want 1", n)
		}
	})
}

// The result of a submitted job is found after its callback is lost.
func TestSubmittedJobIsReconciled(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		options := fakevendortest.Options{Processing: fakevendortest.Processing{Callbacks: fakevendortest.Plan{Chances: fakevendortest.Chances{Lose: 1}}}}
		s := startSubmitting(t, place, options, func(_ *submitting, c *config.Config) {
			c.Reconcile.After, c.Reconcile.Horizon = 50*time.Millisecond, time.Hour
		})
		status, got := s.submit(t, "?reference=SKU-4711&input=dir%2Fphoto+1.png", `{"url":"base64,iVBORw0KGgo=","width":2000}`)
		if status != http.StatusCreated {
			t.Fatalf("status = %d, want 201: %+v", status, got)
		}
		if status, _ := s.submit(t, "?reference=a%0Ab", aRequest); status != http.StatusBadRequest {
			t.Errorf("status for a reference of two lines = %d, want 400", status)
		}
		found := s.becomes(t, got.ID, "reconciled")
		if h := s.reaches(t, event.ID(found.Event), event.Done); h.Event.Origin != event.OriginReconciled {
			t.Errorf("origin = %s, want reconciled", h.Event.Origin)
		} else if want := (event.Names{Input: "photo 1.png", Reference: "SKU-4711"}); h.Event.Names != want {
			t.Errorf("names = %+v, want %+v", h.Event.Names, want)
		}
	})
}

// A failed submission returns a problem and leaves no tracked job, unless its outcome is unknown.
func TestSubmissionFailures(t *testing.T) {
	t.Parallel()
	busy := fakevendortest.Processing{Slots: 1, Time: time.Hour}
	rows := []struct {
		name       string
		processing fakevendortest.Processing
		fault      fakevendortest.APIFault
		change     func(*config.Config)
		before     int // jobs that are submitted first
		query      string
		request    string
		status     int
		problem    string
		detail     string // a part that is not prose: a variable, a member, or a text of the vendor
	}{
		{name: "no free slot", processing: busy, before: 1, status: 429, problem: "slots"},
		{name: "no free slot until the wait is over", processing: busy, before: 1, query: "?wait=2", status: 429, problem: "slots"},
		{name: "no credits", processing: fakevendortest.Processing{Credits: 1}, before: 1, status: 402, problem: "credits"},
		{name: "the vendor refuses", fault: fakevendortest.APIFault{Kind: fakevendortest.Refuse, Status: 400, Message: "Image too small"}, status: 422, problem: "refused", detail: "Image too small"},
		{name: "the connection breaks", fault: fakevendortest.APIFault{Kind: fakevendortest.Drop}, status: 502, problem: "unknown_outcome"},
		{name: "a wrong key", change: func(c *config.Config) { c.DeepImage.APIKey = secret.New("another-key-0123456789") }, status: 502, problem: "auth", detail: "RECEIVER_DEEPIMAGE_API_KEY"},
		{name: "the API is down", change: func(c *config.Config) { c.DeepImage.URL = "http://127.0.0.1:1" }, status: 503, problem: "unavailable"},
		{name: "no key", change: func(c *config.Config) { c.DeepImage.APIKey = secret.Value{} }, status: 409, problem: "conflict", detail: "RECEIVER_DEEPIMAGE_API_KEY"},
		{name: "no public URL", change: func(c *config.Config) { c.PublicURL = "" }, status: 409, problem: "conflict", detail: "RECEIVER_PUBLIC_URL"},
		{name: "too long", request: `{"url":"` + strings.Repeat("a", 31<<20) + `"}`, status: 413, problem: "too_large", detail: "RECEIVER_WEBHOOK_MAX_BODY_BYTES"},
		{name: "not JSON", request: "url=a", status: 422, problem: "refused"},
		{name: "a foreign webhook", request: `{"webhooks":{"complete":"https://example.com"}}`, status: 422, problem: "refused", detail: "webhooks.complete"},
		{name: "too long a wait", query: "?wait=61", status: 400, problem: "bad_request"},
	}
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		for _, row := range rows {
			if place.Kind == database.Postgres && row.before == 0 && row.fault.Kind == 0 {
				continue // it does not reach the store
			}
			t.Run(row.name, func(t *testing.T) {
				t.Parallel()
				place := storetest.NewPlace(t, place.Kind)
				s := startSubmitting(t, place, fakevendortest.Options{Processing: row.processing}, func(_ *submitting, c *config.Config) {
					if row.change != nil {
						row.change(c)
					}
				})
				for range row.before {
					if status, got := s.submit(t, "", aRequest); status != http.StatusCreated {
						t.Fatalf("status = %d, want 201: %+v", status, got)
					}
				}
				if row.fault.Kind != 0 {
					row.fault.Call = fakevendortest.CallProcess
					if err := s.vendor.AddAPIFaults(row.fault); err != nil {
						t.Fatal(err)
					}
				}
				request := row.request
				if request == "" {
					request = aRequest
				}
				status, got := s.submit(t, row.query, request)
				if status != row.status || got.Type != "urn:deepimage-receiver:problem:"+row.problem || !strings.Contains(got.Detail, row.detail) {
					t.Errorf("status = %d, problem = %+v; want %d %s with %q in its detail", status, got, row.status, row.problem, row.detail)
				}
				left := row.before
				if row.problem == "unknown_outcome" {
					left++
				}
				if list := s.jobs(t); len(list) != left {
					t.Errorf("tracked jobs = %+v, want %d", list, left)
				}
			})
		}
	})
}

// A submission that waits gets the next free slot.
func TestSubmissionWaitsForASlot(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := startSubmitting(t, place, fakevendortest.Options{}, nil)
		if err := s.vendor.AddAPIFaults(fakevendortest.APIFault{Kind: fakevendortest.Limit, Call: fakevendortest.CallProcess, Times: 1}); err != nil {
			t.Fatal(err)
		}
		if status, got := s.submit(t, "?wait=30", aRequest); status != http.StatusCreated {
			t.Fatalf("status = %d, want 201: %+v", status, got)
		}
		if n := s.vendor.Calls(fakevendortest.CallProcess); n != 2 {
			t.Errorf("sent %d times, want 2", n)
		}
		const want = `receiver_submissions_total{outcome="submitted"} 1`
		if got := s.metrics(t, s.client); !strings.Contains(got, want) {
			t.Errorf("metrics have no %s, want it:\n%s", want, got)
		}
	})
}

// A submission stops waiting for a slot when the receiver stops.
func TestStopEndsTheWaitForASlot(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		options := fakevendortest.Options{Processing: fakevendortest.Processing{Slots: 1, Time: time.Hour}}
		s := startSubmitting(t, place, options, nil)
		if status, got := s.submit(t, "", aRequest); status != http.StatusCreated {
			t.Fatalf("status = %d, want 201: %+v", status, got)
		}
		waited := make(chan int)
		go func() {
			status, _ := s.submit(t, "?wait=60", aRequest)
			waited <- status
		}()
		s.until(t, func() (bool, any) { n := s.vendor.Calls(fakevendortest.CallProcess); return n == 2, n })
		s.stop()
		if status := <-waited; status != http.StatusTooManyRequests {
			t.Errorf("status = %d, want 429", status)
		}
	})
}

// A submission that the vendor has not answered when the receiver stops is cancelled in time, with an unknown outcome.
func TestStopCancelsASubmission(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := startSubmitting(t, place, fakevendortest.Options{}, nil)
		sent := make(chan struct{})
		fault := fakevendortest.APIFault{Kind: fakevendortest.Delay, Call: fakevendortest.CallProcess, OnHit: func() { close(sent) }}
		if err := s.vendor.AddAPIFaults(fault); err != nil {
			t.Fatal(err)
		}
		results := make(chan submission)
		go func() {
			_, got := s.submit(t, "", aRequest)
			results <- got
		}()
		<-sent
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		stopped := make(chan error)
		go func() { stopped <- s.Stop(ctx) }()
		if got := <-results; got.Type != "urn:deepimage-receiver:problem:unknown_outcome" {
			t.Errorf("problem = %+v, want unknown_outcome", got)
		}
		if err := <-stopped; err != nil {
			t.Errorf("Stop: error = %v, want none", err)
		}
		store := workflowtest.New(t, place.Open(t).Work, nil)
		list, err := store.Jobs.List(t.Context(), jobs.Submitting, "", 10)
		if err != nil || len(list) != 1 || list[0].Detail == "" {
			t.Errorf("submitting jobs = %+v, error %v; want one with a detail", list, err)
		}
	})
}

// holdWork blocks all other writes to the work database until release is called.
func holdWork(t *testing.T, place *databasetest.Place) (release func()) {
	t.Helper()
	db := place.Open(t)
	held, err := db.Work.Writer.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := held.ExecContext(t.Context(), "UPDATE tracked_jobs SET polls = polls"); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = held.Rollback()
		_ = db.Close()
	}
}

// A callback with a job token is accepted while the work database is blocked.
func TestJobTokenDoesNotWaitForTheWorkStore(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := startSubmitting(t, place, fakevendortest.Options{}, nil)
		_, got := s.submit(t, "", aRequest)
		id := event.ID(s.becomes(t, got.ID, "arrived").Event)
		s.reaches(t, id, event.Done)
		first := s.calls.wait(t)
		defer holdWork(t, place)()
		if a := post(t, s.client, s.url(first.path), []byte(`{"job":"c0ffee","result_url":null}`)); a.code != http.StatusUnauthorized {
			t.Errorf("another job: status = %d, want 401", a.code)
		}
		if a := post(t, s.client, s.url(first.path), first.body); a.code != http.StatusOK || a.Status != "duplicate" || a.ID != id {
			t.Errorf("receipt = %+v, want a duplicate of %s", a, id)
		}
	})
}

// A callback that arrives while the work database is blocked names its job when it is relayed. The write of the first one is
// running then, the second one times out before its write.
func TestCallbackNamesItsJobWhenRelayed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := startSubmitting(t, place, fakevendortest.Options{}, nil)
		store := workflowtest.New(t, place.Open(t).Work, nil)
		names := []string{"c0ffee", "decaf"}
		expected, tokens := make([]jobs.Job, len(names)), make([]string, len(names))
		for n := range names {
			tokens[n] = "job-" + rand.Text()
			var err error
			if expected[n], err = store.Jobs.Prepare(t.Context(), sha256.Sum256([]byte(tokens[n])), event.Names{}, time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		release := holdWork(t, place)
		ids := make([]event.ID, len(names))
		for n, job := range names {
			a := post(t, s.client, s.url("/webhooks/deep-image/"+tokens[n]), []byte(`{"job":"`+job+`","result_url":null}`))
			if ids[n] = a.ID; a.code != http.StatusOK || a.Status != "accepted" {
				t.Errorf("%s: receipt = %+v, want 200 accepted", job, a)
			}
		}
		release()
		for n, job := range names {
			if arrived := s.becomes(t, expected[n].ID, "arrived"); arrived.Job != job || event.ID(arrived.Event) != ids[n] {
				t.Errorf("tracked job = %+v, want job %s with event %s", arrived, job, ids[n])
			}
		}
	})
}
