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
	fakevendor "github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
)

// submitting is a receiver that submits jobs to a vendor and is called back through an address of its own.
type submitting struct {
	*receiver
	vendor *fakevendor.Vendor
	client *http.Client
	calls  calls
}

// calls are the callbacks that came in through the outer address.
type calls struct {
	mutex sync.Mutex
	list  []call
	first chan struct{} // closed when one has been answered
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

// wait gives the first callback.
func (c *calls) wait(t testing.TB) call {
	t.Helper()
	select {
	case <-c.first:
	case <-time.After(patience):
		t.Fatal("there is no callback")
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.list[0]
}

// startSubmitting starts a vendor that works as options say, and a receiver that change may change.
func startSubmitting(t *testing.T, place *databasetest.Place, options fakevendor.Options, change func(*submitting, *config.Config)) *submitting {
	t.Helper()
	v, err := fakevendor.Start(t.Context(), options)
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
		passTo(t, s.url("")).ServeHTTP(w, r)
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

func passTo(t testing.TB, address string) *httputil.ReverseProxy {
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

// submission is what the admin door says of one.
type submission struct {
	ID, Job, State, Origin, Event, Detail, Type string
}

const aRequest = `{"url":"https://example.com/a.png","width":2000}`

func (s *submitting) submit(t testing.TB, query, request string) (status int, said submission) {
	t.Helper()
	status = s.ask(t, s.client, http.MethodPost, "/api/v1/jobs"+query, request, &said)
	return status, said
}

// becomes waits until a tracked job is in a state.
func (s *submitting) becomes(t testing.TB, id, state string) (said submission) {
	t.Helper()
	s.until(t, func() (bool, any) {
		s.ask(t, s.client, http.MethodGet, "/api/v1/jobs/"+id, "", &said)
		return said.State == state, said
	})
	return said
}

// jobs are all tracked jobs, newest first.
func (s *submitting) jobs(t testing.TB) (list []submission) {
	t.Helper()
	var said struct{ Jobs []submission }
	s.ask(t, s.client, http.MethodGet, "/api/v1/jobs", "", &said)
	return said.Jobs
}

// A job that is submitted is called back with a token that is good for it alone, and once.
func TestSubmittedJobHasItsOwnToken(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := startSubmitting(t, place, fakevendor.Options{}, nil)
		status, said := s.submit(t, "", aRequest)
		if status != http.StatusCreated || said.Job == "" || said.Origin != "submitted" {
			t.Fatalf("answer %d, %+v", status, said)
		}
		id := event.ID(s.becomes(t, said.ID, "arrived").Event)
		if h := s.reaches(t, id, event.Done); h.Event.Job != said.Job || h.Event.Origin != event.OriginCallback || len(h.Artifacts) != 2 {
			t.Errorf("got %+v", h)
		}
		first := s.calls.wait(t)
		own := s.url(first.path)
		rows := []struct {
			name, address, body string
			status              int
			says                string
		}{
			{"another result", own, `{"job":"` + said.Job + `","result_url":"https://deep-image.ai/other.png"}`, 401, ""},
			{"another job", own, `{"job":"c0ffee","result_url":"https://deep-image.ai/other.png"}`, 401, ""},
			{"no event", own, `{"jab":"c0ffee"}`, 422, ""},
			{"nobody's token", s.url("/webhooks/deep-image/job-ABCDEFGHIJKLMNOPQRSTUVWXYZ"), `{"job":"c0ffee"}`, 401, ""},
			{"the same once more", own, string(first.body), 200, "duplicate"},
			{"a token for all jobs", s.webhook(), `{"job":"c0ffee"}`, 200, "accepted"},
		}
		for _, row := range rows {
			if a := post(t, s.client, row.address, []byte(row.body)); a.code != row.status || a.Status != row.says || row.says == "duplicate" && a.ID != id {
				t.Errorf("%s: %+v", row.name, a)
			}
		}
		s.checkTokenIsSecret(t, id, first)
	})
}

// checkTokenIsSecret makes sure that the token is in the callback, and nowhere that a person looks.
func (s *submitting) checkTokenIsSecret(t *testing.T, id event.ID, first call) {
	t.Helper()
	own := first.path[strings.LastIndex(first.path, "/")+1:]
	var shown struct{ Payload json.RawMessage }
	s.ask(t, s.client, http.MethodGet, "/api/v1/events/"+string(id), "", &shown)
	if !strings.HasPrefix(own, "job-") || !strings.Contains(string(first.body), own) {
		t.Errorf("the token is %q, the callback %s", own, first.body)
	}
	if strings.Contains(s.log.String(), own) || strings.Contains(string(shown.Payload), own) || !strings.Contains(string(shown.Payload), "2000") {
		t.Errorf("the token is told: %s\n%s", shown.Payload, s.log)
	}
}

// The callback may be there before the vendor's answer to the submission, which then changes nothing.
func TestCallbackBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := startSubmitting(t, place, fakevendor.Options{}, func(s *submitting, c *config.Config) {
			through := passTo(t, strings.TrimSuffix(s.vendor.APIURL(), "/rest_api"))
			through.ModifyResponse = func(answer *http.Response) error {
				if answer.Request.Method == http.MethodPost {
					<-s.calls.first
				}
				return nil
			}
			api := httptest.NewServer(through)
			t.Cleanup(api.Close)
			c.DeepImage.URL = api.URL + "/rest_api"
		})
		status, said := s.submit(t, "", aRequest)
		if status != http.StatusCreated || said.Job == "" {
			t.Fatalf("answer %d, %+v", status, said)
		}
		s.reaches(t, event.ID(s.becomes(t, said.ID, "arrived").Event), event.Done)
		if list := s.jobs(t); len(list) != 1 || list[0].Job != said.Job {
			t.Errorf("tracked jobs are %+v", list)
		}
	})
}

// When the vendor's answer is lost the request is not sent again, and the callback says which job it was.
func TestSubmissionWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := startSubmitting(t, place, fakevendor.Options{}, nil)
		if err := s.vendor.Disturb(fakevendor.Trouble{Kind: fakevendor.Swallow, Call: fakevendor.CallProcess, Times: 1}); err != nil {
			t.Fatal(err)
		}
		status, said := s.submit(t, "?wait=10", aRequest)
		list := s.jobs(t)
		if status != http.StatusBadGateway || said.Type != "urn:deepimage-receiver:problem:unknown_outcome" || len(list) != 1 || !strings.Contains(said.Detail, list[0].ID) {
			t.Fatalf("answer %d, %+v, tracked jobs %+v", status, said, list)
		}
		arrived := s.becomes(t, list[0].ID, "arrived")
		if h := s.reaches(t, event.ID(arrived.Event), event.Done); h.Event.Job != arrived.Job {
			t.Errorf("got %+v of %+v", h, arrived)
		}
		if n := s.vendor.Calls(fakevendor.CallProcess); n != 1 {
			t.Errorf("it was sent %d times", n)
		}
	})
}

// A submitted job whose callback gets lost is found like any other.
func TestSubmittedJobIsReconciled(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		options := fakevendor.Options{Processing: fakevendor.Processing{Callbacks: fakevendor.Plan{Chances: fakevendor.Chances{Lose: 1}}}}
		s := startSubmitting(t, place, options, func(_ *submitting, c *config.Config) {
			c.Reconcile.After, c.Reconcile.Horizon = 50*time.Millisecond, time.Hour
		})
		status, said := s.submit(t, "", aRequest)
		if status != http.StatusCreated {
			t.Fatalf("answer %d, %+v", status, said)
		}
		found := s.becomes(t, said.ID, "reconciled")
		if h := s.reaches(t, event.ID(found.Event), event.Done); h.Event.Origin != event.OriginReconciled {
			t.Errorf("got %+v", h)
		}
	})
}

// What the vendor says against a job is told in words, and leaves nothing behind.
func TestSubmissionsThatFail(t *testing.T) {
	t.Parallel()
	busy := fakevendor.Processing{Slots: 1, Time: time.Hour}
	rows := []struct {
		name       string
		processing fakevendor.Processing
		trouble    fakevendor.Trouble
		change     func(*config.Config)
		before     int // jobs that are submitted first
		query      string
		request    string
		status     int
		problem    string
		says       string
	}{
		{name: "all slots are taken", processing: busy, before: 1, status: 429, problem: "slots", says: "plan"},
		{name: "all slots stay taken", processing: busy, before: 1, query: "?wait=2", status: 429, problem: "slots", says: "plan"},
		{name: "no credits", processing: fakevendor.Processing{Credits: 1}, before: 1, status: 402, problem: "credits", says: "credits"},
		{name: "the vendor refuses", trouble: fakevendor.Trouble{Kind: fakevendor.Refuse, Status: 400, Says: "Image too small"}, status: 422, problem: "refused", says: "Image too small"},
		{name: "the connection breaks", trouble: fakevendor.Trouble{Kind: fakevendor.Drop}, status: 502, problem: "unknown_outcome", says: "not sent again"},
		{name: "a wrong key", change: func(c *config.Config) { c.DeepImage.APIKey = secret.New("another-key-0123456789") }, status: 502, problem: "vendor", says: "RECEIVER_DEEPIMAGE_API_KEY"},
		{name: "nobody answers", change: func(c *config.Config) { c.DeepImage.URL = "http://127.0.0.1:1" }, status: 503, problem: "unavailable", says: "refused the connection"},
		{name: "no key", change: func(c *config.Config) { c.DeepImage.APIKey = secret.Value{} }, status: 409, problem: "conflict", says: "RECEIVER_DEEPIMAGE_API_KEY"},
		{name: "no public address", change: func(c *config.Config) { c.PublicURL = "" }, status: 409, problem: "conflict", says: "RECEIVER_PUBLIC_URL"},
		{name: "too long", request: `{"url":"` + strings.Repeat("a", 31<<20) + `"}`, status: 413, problem: "too_large", says: "RECEIVER_WEBHOOK_MAX_BODY_BYTES"},
		{name: "no JSON", request: "url=a", status: 422, problem: "refused", says: "JSON object"},
		{name: "a webhook of somebody else", request: `{"webhooks":{"complete":"https://example.com"}}`, status: 422, problem: "refused", says: "webhooks.complete"},
		{name: "too long a wait", query: "?wait=61", status: 400, problem: "bad_request", says: "0 to 60"},
	}
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		for _, row := range rows {
			if place.Kind == database.Postgres && row.before == 0 && row.trouble.Kind == 0 {
				continue // it comes to no store
			}
			t.Run(row.name, func(t *testing.T) {
				t.Parallel()
				place := databasetest.NewPlace(t, place.Kind)
				s := startSubmitting(t, place, fakevendor.Options{Processing: row.processing}, func(_ *submitting, c *config.Config) {
					if row.change != nil {
						row.change(c)
					}
				})
				for range row.before {
					if status, said := s.submit(t, "", aRequest); status != http.StatusCreated {
						t.Fatalf("answer %d, %+v", status, said)
					}
				}
				if row.trouble.Kind != 0 {
					row.trouble.Call = fakevendor.CallProcess
					if err := s.vendor.Disturb(row.trouble); err != nil {
						t.Fatal(err)
					}
				}
				request := row.request
				if request == "" {
					request = aRequest
				}
				status, said := s.submit(t, row.query, request)
				if status != row.status || said.Type != "urn:deepimage-receiver:problem:"+row.problem || !strings.Contains(said.Detail, row.says) {
					t.Errorf("answer %d, %+v", status, said)
				}
				left := row.before
				if row.problem == "unknown_outcome" {
					left++
				}
				if list := s.jobs(t); len(list) != left {
					t.Errorf("tracked jobs are %+v", list)
				}
			})
		}
	})
}

// Whoever waits gets the slot that becomes free.
func TestSubmissionWaitsForASlot(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := startSubmitting(t, place, fakevendor.Options{}, nil)
		if err := s.vendor.Disturb(fakevendor.Trouble{Kind: fakevendor.Limit, Call: fakevendor.CallProcess, Times: 1}); err != nil {
			t.Fatal(err)
		}
		if status, said := s.submit(t, "?wait=30", aRequest); status != http.StatusCreated {
			t.Fatalf("answer %d, %+v", status, said)
		}
		if n := s.vendor.Calls(fakevendor.CallProcess); n != 2 {
			t.Errorf("it was sent %d times", n)
		}
		text := s.metrics(t, s.client)
		if !strings.Contains(text, `receiver_submissions_total{outcome="submitted"} 1`) {
			t.Errorf("no metric tells:\n%s", text)
		}
	})
}

// A receiver that stops lets nobody wait for a slot.
func TestStopEndsTheWaitForASlot(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		options := fakevendor.Options{Processing: fakevendor.Processing{Slots: 1, Time: time.Hour}}
		s := startSubmitting(t, place, options, nil)
		if status, said := s.submit(t, "", aRequest); status != http.StatusCreated {
			t.Fatalf("answer %d, %+v", status, said)
		}
		waited := make(chan int)
		go func() {
			status, _ := s.submit(t, "?wait=60", aRequest)
			waited <- status
		}()
		s.until(t, func() (bool, any) { n := s.vendor.Calls(fakevendor.CallProcess); return n == 2, n })
		s.stop()
		if status := <-waited; status != http.StatusTooManyRequests {
			t.Errorf("answered %d", status)
		}
	})
}

// A submission that is with the vendor when the receiver stops is called off in time, and told for what it is.
func TestStopCallsOffASubmission(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := startSubmitting(t, place, fakevendor.Options{}, nil)
		with := make(chan struct{})
		lag := fakevendor.Trouble{Kind: fakevendor.Lag, Call: fakevendor.CallProcess, Struck: func() { close(with) }}
		if err := s.vendor.Disturb(lag); err != nil {
			t.Fatal(err)
		}
		answers := make(chan submission)
		go func() {
			_, said := s.submit(t, "", aRequest)
			answers <- said
		}()
		<-with
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		stopped := make(chan error)
		go func() { stopped <- s.Stop(ctx) }()
		if said := <-answers; said.Type != "urn:deepimage-receiver:problem:unknown_outcome" {
			t.Errorf("answered %+v", said)
		}
		if err := <-stopped; err != nil {
			t.Errorf("stopped with %v", err)
		}
		store := workflowtest.New(t, place.Open(t).Work, nil)
		list, err := store.Jobs.List(t.Context(), jobs.Submitting, "", 10)
		if err != nil || len(list) != 1 || !strings.Contains(list[0].Detail, "is not known") {
			t.Errorf("left are %+v, error %v", list, err)
		}
	})
}

// holdWork keeps everybody else from writing to the work store until release is called.
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

// Whatever holds up the work store, a callback with the token of a job is taken.
func TestJobTokenDoesNotWaitForTheWorkStore(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := startSubmitting(t, place, fakevendor.Options{}, nil)
		_, said := s.submit(t, "", aRequest)
		id := event.ID(s.becomes(t, said.ID, "arrived").Event)
		s.reaches(t, id, event.Done)
		first := s.calls.wait(t)
		defer holdWork(t, place)()
		if a := post(t, s.client, s.url(first.path), []byte(`{"job":"c0ffee","result_url":null}`)); a.code != http.StatusUnauthorized {
			t.Errorf("another job: %+v", a)
		}
		if a := post(t, s.client, s.url(first.path), first.body); a.code != http.StatusOK || a.Status != "duplicate" || a.ID != id {
			t.Errorf("answer %+v", a)
		}
	})
}

// A callback that comes while the work store is held up names its job as soon as it is relayed. The first one has its
// write under way then, the second one gives up waiting for its turn.
func TestCallbackNamesItsJobLater(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := startSubmitting(t, place, fakevendor.Options{}, nil)
		store := workflowtest.New(t, place.Open(t).Work, nil)
		names := []string{"c0ffee", "decaf"}
		expected, tokens := make([]jobs.Job, len(names)), make([]string, len(names))
		for n := range names {
			tokens[n] = "job-" + rand.Text()
			var err error
			if expected[n], err = store.Jobs.Prepare(t.Context(), sha256.Sum256([]byte(tokens[n])), time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		release := holdWork(t, place)
		ids := make([]event.ID, len(names))
		for n, job := range names {
			a := post(t, s.client, s.url("/webhooks/deep-image/"+tokens[n]), []byte(`{"job":"`+job+`","result_url":null}`))
			if ids[n] = a.ID; a.code != http.StatusOK || a.Status != "accepted" {
				t.Errorf("%s: answer %+v", job, a)
			}
		}
		release()
		for n, job := range names {
			if arrived := s.becomes(t, expected[n].ID, "arrived"); arrived.Job != job || event.ID(arrived.Event) != ids[n] {
				t.Errorf("got %+v", arrived)
			}
		}
	})
}
