package app_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/deepimage-receiver/receiver/internal/testkit/storetest"
	"github.com/deepimage-receiver/receiver/internal/workflow"
)

// trusting is a configuration with the key of the vendor's API and without its rate limits.
func trusting(t testing.TB, place *databasetest.Place, v *fakevendortest.Vendor) config.Config {
	t.Helper()
	c := configuration(t, place)
	trust(&c, v)
	return c
}

// trust sets the key of the vendor's API in a configuration.
func trust(c *config.Config, v *fakevendortest.Vendor) {
	c.DeepImage.APIKey, c.DeepImage.URL = secret.New(v.APIKey()), v.APIURL()
	c.DeepImage.CallsPerSecond, c.DeepImage.UnknownPerMinute = 1000, 10_000
	c.DeepImage.UnknownGrace = 50 * time.Millisecond // an invented job is quarantined soon
}

// withAPIFault returns the options of a job whose API calls fail.
func withAPIFault(fault fakevendortest.APIFault) fakevendortest.JobOptions {
	return fakevendortest.JobOptions{APIFaults: []fakevendortest.APIFault{fault}}
}

func newJob(t testing.TB, v *fakevendortest.Vendor, options fakevendortest.JobOptions) fakevendortest.Job {
	t.Helper()
	job, err := v.NewJob(options)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// The state of a job in the vendor's API decides the state of its event, whatever the callback contains.
func TestCallbacksAreVerified(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name    string
		options fakevendortest.JobOptions
		state   event.Status
		reason  event.Reason
		detail  string // a part that comes from the vendor
		fetched int64
	}{
		{name: "complete", state: event.Done, fetched: 1},
		{name: "unknown", options: fakevendortest.JobOptions{State: fakevendortest.Forged}, state: event.Quarantined, reason: event.ReasonNotVerified},
		{name: "failed", options: fakevendortest.JobOptions{State: fakevendortest.Failed}, state: event.Dead, reason: event.ReasonOther, detail: "Image processing failed"},
		{name: "deleted", options: fakevendortest.JobOptions{State: fakevendortest.Deleted}, state: event.Dead, reason: event.ReasonExpired},
		{name: "the API is down", options: withAPIFault(fakevendortest.APIFault{Kind: fakevendortest.Refuse, Times: 2}), state: event.Done, fetched: 1},
		{name: "rate limit without Retry-After", options: withAPIFault(fakevendortest.APIFault{Kind: fakevendortest.Limit, Times: 1}), state: event.Done, fetched: 1},
		{name: "URL has expired", options: fakevendortest.JobOptions{Expired: http.StatusForbidden}, state: event.Done, fetched: 1},
	}
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		c := trusting(t, place, v)
		c.Retry.MaxAttempts = 1 // deferring does not count as an attempt
		r := start(t, c)
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				t.Parallel()
				job := newJob(t, v, row.options)
				a := post(t, client, r.webhook(), v.Callback(job, r.webhook()))
				h := r.reaches(t, a.ID, row.state)
				step := h.Steps[0]
				if step.Handler != "verify" || step.Reason != row.reason || !strings.Contains(step.Detail, row.detail) || step.Detail == "" {
					t.Errorf("step = %+v, want verify with reason %q and detail with %q", step, row.reason, row.detail)
				}
				if n := v.Requests(job.ResultURL); n != row.fetched {
					t.Errorf("image fetched %d times, want %d", n, row.fetched)
				}
				if (row.state == event.Done) != !h.Event.Verified.IsZero() || h.Event.Source.String() != "127.0.0.1" {
					t.Errorf("event = %+v, want verified %t, from 127.0.0.1", h.Event, row.state == event.Done)
				}
			})
		}
	})
}

// A8: the API does not have a job for seconds after its callback.
func TestUnknownJobIsNotKnownYet(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		for name, grace := range map[string]time.Duration{"A8 not tracked": 2 * time.Minute, "A8 tracked": time.Millisecond} {
			t.Run(name, func(t *testing.T) {
				v, client := vendor(t), newClient(t)
				c := trusting(t, place, v)
				c.DeepImage.UnknownGrace = grace
				r := start(t, c)
				defer r.stop()
				job := newJob(t, v, fakevendortest.JobOptions{State: fakevendortest.Forged})
				if name == "A8 tracked" {
					r.track(t, client, job.ID)
				}
				a := post(t, client, r.webhook(), v.Callback(job, r.webhook()))
				h := r.reaches(t, a.ID, event.Retrying, event.Quarantined)
				if step := h.Steps[0]; step.State != event.Retrying || step.Reason != event.ReasonNotVerified || step.Tries != 0 {
					t.Errorf("step = %+v, want retrying as not_verified at no cost", step)
				}
				if err := v.SetState(job.ID, fakevendortest.Complete); err != nil {
					t.Fatal(err)
				}
				r.reaches(t, a.ID, event.Done)
				if n := v.Looks(job.ID); n != 2 {
					t.Errorf("%d lookups, want 2", n)
				}
			})
		}
	})
}

// A job with an unknown status is looked up again.
func TestUnknownStatusIsRetried(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		c := trusting(t, place, v)
		r := start(t, c)
		job := newJob(t, v, fakevendortest.JobOptions{State: "pondering"})
		a := post(t, client, r.webhook(), v.Callback(job, r.webhook()))
		h := r.reaches(t, a.ID, event.Retrying)
		if step := h.Steps[0]; step.Reason != event.ReasonOther || !strings.Contains(step.Detail, `"pondering"`) {
			t.Errorf("step = %+v, want reason other and the status in its detail", step)
		}
		if wait := time.Until(h.Steps[0].NextAt); wait < 3*time.Second || wait > 10*time.Second {
			t.Errorf("next attempt in %s, want 3s to 10s", wait)
		}
	})
}

// Forged callbacks with the id of a real job cause no fetch of their URLs, and no second fetch of the real image.
func TestImpersonatedJobIsProcessedOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		r := start(t, trusting(t, place, v))
		job := newJob(t, v, fakevendortest.JobOptions{})
		var ids []event.ID
		var addresses []string
		for range 3 {
			forged, err := v.Impersonate(job)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, post(t, client, r.webhook(), v.Callback(forged, r.webhook())).ID)
			addresses = append(addresses, forged.ResultURL)
		}
		ids = append(ids, post(t, client, r.webhook(), v.Callback(job, r.webhook())).ID)
		artifacts, skipped, superseded := 0, 0, event.ID("")
		for _, id := range ids {
			h := r.reaches(t, id, event.Done)
			artifacts += len(h.Artifacts)
			if h.Steps[0].State == event.Skipped && h.Steps[1].State == event.Skipped {
				skipped++
				superseded = id
			}
		}
		steps, err := r.Stores().Workflow.Replay(t.Context(), superseded, workflow.Replay{Handler: "download", Finished: true})
		if err != nil || steps != 2 {
			t.Errorf("replayed %d steps, error %v; want 2", steps, err)
		}
		if h := r.reaches(t, superseded, event.Done); len(h.Steps[0].Attempts) < 2 || h.Steps[1].State != event.Skipped {
			t.Errorf("steps = %+v, want a second attempt of verify and a skipped download", h.Steps)
		}
		for _, address := range addresses {
			if n := v.Requests(address); n != 0 {
				t.Errorf("forged image fetched %d times, want 0", n)
			}
		}
		if artifacts != 2 || skipped != 3 || v.Requests(job.ResultURL) != 1 {
			t.Errorf("%d artifacts, %d skipped events, %d requests; want 2, 3, 1", artifacts, skipped, v.Requests(job.ResultURL))
		}
	})
}

// Many forged jobs of one client IP cost a few calls of the API and do not delay other clients.
func TestForgedJobsAreLimitedBySource(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		c := trusting(t, place, v)
		c.DeepImage.UnknownPerMinute = 5
		if err := c.HTTP.TrustedProxies.Decode("127.0.0.0/8"); err != nil {
			t.Fatal(err)
		}
		r := start(t, c)
		from := func(address string, job fakevendortest.Job) event.ID {
			forwarding := *client
			forwarding.Transport = header{client.Transport, address}
			return post(t, &forwarding, r.webhook(), v.Callback(job, r.webhook())).ID
		}
		for n := range 60 {
			forged, err := v.Forge()
			if err != nil {
				t.Fatal(err)
			}
			from(fmt.Sprintf("203.0.113.%d", 1+n%2), forged)
		}
		r.reaches(t, from("198.51.100.7", newJob(t, v, fakevendortest.JobOptions{})), event.Done)
		most := 2*5 + 2*int64(c.DeepImage.Concurrency) + 1 // two sources may each cost five calls a minute
		if calls := v.Calls(fakevendortest.CallResult); calls > most {
			t.Errorf("%d calls, want at most %d", calls, most)
		}
	})
}

// A firewall before the API may refuse ids that look like an attack. Forged callbacks with such ids do not stop other lookups.
func TestRefusedIDsDoNotPauseTheAPI(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		api, err := url.Parse(v.APIURL())
		if err != nil {
			t.Fatal(err)
		}
		pass := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: api.Scheme, Host: api.Host})
		firewall := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "'") {
				http.Error(w, "<html>blocked</html>", http.StatusForbidden)
				return
			}
			pass.ServeHTTP(w, r)
		}))
		t.Cleanup(firewall.Close)
		c := trusting(t, place, v)
		c.DeepImage.URL = firewall.URL + api.Path
		r := start(t, c)
		for n := range 40 {
			forged, err := v.Forge()
			if err != nil {
				t.Fatal(err)
			}
			forged.ID = fmt.Sprintf("x%d' or 1=1 --", n)
			post(t, client, r.webhook(), v.Callback(forged, r.webhook()))
		}
		r.reaches(t, post(t, client, r.webhook(), v.Callback(newJob(t, v, fakevendortest.JobOptions{}), r.webhook())).ID, event.Done)
	})
}

// header sets the header of a proxy.
type header struct {
	http.RoundTripper
	client string
}

func (h header) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-For", h.client)
	return h.RoundTripper.RoundTrip(r)
}

// The key of the API is neither logged nor stored.
func TestKeyIsNotLeaked(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		c := trusting(t, place, v)
		r := start(t, c)
		fault := fakevendortest.APIFault{Kind: fakevendortest.EchoKey, Times: 1}
		job := newJob(t, v, fakevendortest.JobOptions{APIFaults: []fakevendortest.APIFault{fault}, Expired: http.StatusGone})
		h := r.reaches(t, post(t, client, r.webhook(), v.Callback(job, r.webhook())).ID, event.Done)
		r.stop()
		if strings.Contains(r.log.String(), v.APIKey()) || strings.Contains(fmt.Sprintf("%+v", h), v.APIKey()) {
			t.Errorf("log or event have the key, want no key:\n%s\n%+v", r.log, h)
		}
	})
}

// A9: all results of a verified callback that can be trusted are stored, and the event has a warning about the others.
func TestResultsOfVerifiedCallbacks(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		r := start(t, trusting(t, place, v))
		seven := newJob(t, v, fakevendortest.JobOptions{Images: 7, Shape: fakevendortest.ResultStrings})
		h := r.reaches(t, post(t, client, r.webhook(), v.Callback(seven, r.webhook())).ID, event.Done)
		if got, want := len(h.Artifacts), 8; got != want {
			t.Errorf("A9 seven results: %d artifacts, want %d", got, want)
		}
		plain := newJob(t, v, fakevendortest.JobOptions{})
		body := fmt.Appendf(nil, `{"job": %q, "result_url": %q, "results": ["https://evil.example/a.png", "https://evil.example/b.png"]}`, plain.ID, plain.ResultURL)
		id := post(t, client, r.webhook(), body).ID
		if h := r.reaches(t, id, event.Done); len(h.Artifacts) != 2 {
			t.Errorf("A9 results of others: %d artifacts, want 2", len(h.Artifacts))
		}
		var shown struct{ Warnings []struct{ Code string } }
		if r.ask(t, client, http.MethodGet, "/api/v1/events/"+string(id), "", &shown); len(shown.Warnings) != 1 || shown.Warnings[0].Code != "results_ignored" {
			t.Errorf("A9 results of others: warnings = %+v, want results_ignored", shown.Warnings)
		}
		if page, want := r.text(t, client, "/events/"+string(id)), `data-warning="results_ignored"`; !strings.Contains(page, want) {
			t.Errorf("A9 results of others: page = %s, want %s", page, want)
		}
		if text, want := r.metrics(t, client), "receiver_results_ignored_total 2\n"; !strings.Contains(text, want) {
			t.Errorf("A9 results of others: metrics lack %q", want)
		}
	})
}

// E6: while the API refuses the key, a warning, a banner and a gauge say so. They end by themselves.
func TestRefusedKeyIsShown(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		api, err := url.Parse(v.APIURL())
		if err != nil {
			t.Fatal(err)
		}
		pass := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: api.Scheme, Host: api.Host})
		var accepts atomic.Bool
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !accepts.Load() {
				w.WriteHeader(http.StatusNotFound)
				_, _ = w.Write([]byte(`{"message": "No user found for provided token"}`))
				return
			}
			pass.ServeHTTP(w, r)
		}))
		t.Cleanup(front.Close)
		c := trusting(t, place, v)
		c.DeepImage.URL = front.URL + api.Path
		r := start(t, c)
		const banner, gauge = `data-warning="auth"`, "receiver_api_key_refused 1\n"
		r.until(t, func() (bool, any) { text := r.metrics(t, client); return strings.Contains(text, gauge), text })
		id := post(t, client, r.webhook(), v.Callback(newJob(t, v, fakevendortest.JobOptions{}), r.webhook())).ID
		if step := r.reaches(t, id, event.Retrying).Steps[0]; step.Reason != event.ReasonAuth {
			t.Errorf("E6: reason = %s, want %s", step.Reason, event.ReasonAuth)
		}
		for _, path := range []string{"/", "/events", "/events/" + string(id), "/jobs", "/rejected", "/setup"} {
			if text := r.text(t, client, path); !strings.Contains(text, banner) {
				t.Errorf("E6: page %s lacks %s", path, banner)
			}
		}
		var stats struct{ Warnings []struct{ Code string } }
		if r.ask(t, client, http.MethodGet, "/api/v1/stats", "", &stats); len(stats.Warnings) != 1 || stats.Warnings[0].Code != "auth" {
			t.Errorf("E6: warnings = %+v, want auth", stats.Warnings)
		}
		if got := len(r.log.Records(t, "message", "api key refused, no callback is verified")); got != 1 {
			t.Errorf("E6: %d warnings in the log, want 1", got)
		}
		accepts.Store(true)
		r.reaches(t, id, event.Done)
		if text := r.text(t, client, "/"); strings.Contains(text, banner) {
			t.Errorf("E6: page has %s, want none", banner)
		}
	})
}
