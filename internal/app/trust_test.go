package app_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	fakevendor "github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/deepimage-receiver/receiver/internal/workflow"
)

// trusting is a configuration with the key of the vendor's API, and no patience.
func trusting(t testing.TB, place *databasetest.Place, v *fakevendor.Vendor) config.Config {
	t.Helper()
	c := configuration(t, place)
	trust(&c, v)
	return c
}

// trust gives a configuration the key of the vendor's API.
func trust(c *config.Config, v *fakevendor.Vendor) {
	c.DeepImage.APIKey, c.DeepImage.URL = secret.New(v.APIKey()), v.APIURL()
	c.DeepImage.CallsPerSecond, c.DeepImage.UnknownPerMinute = 1000, 10_000
}

// reaches waits until the event is in a state.
func (r *receiver) reaches(t testing.TB, id event.ID, want event.Status) history.Details {
	t.Helper()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(patience)
	for {
		h, err := r.Stores().History.Load(t.Context(), id)
		if err == nil && h.Event.State == want {
			return h
		}
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("event %s is never %s: %+v, %v; log:\n%s", id, want, h, err, r.log)
		}
	}
}

func newJob(t testing.TB, v *fakevendor.Vendor, options fakevendor.JobOptions) fakevendor.Job {
	t.Helper()
	job, err := v.NewJob(options)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// What the vendor says of a job decides what becomes of its callback, whatever the callback says.
func TestCallbacksAreVerified(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name    string
		options fakevendor.JobOptions
		state   event.Status
		reason  event.Reason
		says    string
		fetched int64
	}{
		{"complete", fakevendor.JobOptions{}, event.Done, "", "knows the job", 1},
		{"unknown", fakevendor.JobOptions{State: fakevendor.Forged}, event.Quarantined, event.ReasonNotVerified, "does not know the job", 0},
		{"failed", fakevendor.JobOptions{State: fakevendor.Failed}, event.Dead, event.ReasonOther, "Image processing failed", 0},
		{"deleted", fakevendor.JobOptions{State: fakevendor.Deleted}, event.Dead, event.ReasonExpired, "has deleted", 0},
		{"the API is down", fakevendor.JobOptions{Troubles: []fakevendor.Trouble{{Kind: fakevendor.Refuse, Times: 2}}}, event.Done, "", "knows the job", 1},
		{"a limit without a time", fakevendor.JobOptions{Troubles: []fakevendor.Trouble{{Kind: fakevendor.Limit, Times: 1}}}, event.Done, "", "knows the job", 1},
		{"address has expired", fakevendor.JobOptions{Expired: http.StatusForbidden}, event.Done, "", "knows the job", 1},
	}
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		c := trusting(t, place, v)
		c.Retry.MaxAttempts = 1 // neither an outage nor a wait is an attempt
		r := start(t, c)
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				t.Parallel()
				job := newJob(t, v, row.options)
				a := post(t, client, r.webhook(), v.Callback(job, r.webhook()))
				h := r.reaches(t, a.ID, row.state)
				step := h.Steps[0]
				if step.Handler != "verify" || step.Reason != row.reason || !strings.Contains(step.Detail, row.says) {
					t.Errorf("got %+v", step)
				}
				if n := v.Requests(job.ResultURL); n != row.fetched {
					t.Errorf("the image was fetched %d times", n)
				}
				if (row.state == event.Done) != !h.Event.Verified.IsZero() || h.Event.Source.String() != "127.0.0.1" {
					t.Errorf("got %+v", h.Event)
				}
			})
		}
	})
}

// A status that nobody has heard of is no verdict.
func TestUnheardOfStatusIsAskedAboutAgain(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		c := trusting(t, place, v)
		r := start(t, c)
		job := newJob(t, v, fakevendor.JobOptions{State: "pondering"})
		a := post(t, client, r.webhook(), v.Callback(job, r.webhook()))
		h := r.reaches(t, a.ID, event.Retrying)
		if step := h.Steps[0]; step.Reason != event.ReasonOther || !strings.Contains(step.Detail, `"pondering"`) {
			t.Errorf("got %+v", step)
		}
		if wait := time.Until(h.Steps[0].NextAt); wait < 3*time.Second || wait > 10*time.Second {
			t.Errorf("asked again in %s", wait)
		}
	})
}

// Who knows a real job's id and the token can make nobody fetch his address, nor the real image twice.
func TestImpersonatedJobIsWorkedOnOnce(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		r := start(t, trusting(t, place, v))
		job := newJob(t, v, fakevendor.JobOptions{})
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
			t.Errorf("%d steps run again, error %v", steps, err)
		}
		if h := r.reaches(t, superseded, event.Done); len(h.Steps[0].Attempts) < 2 || h.Steps[1].State != event.Skipped {
			t.Errorf("got %+v", h)
		}
		for _, address := range addresses {
			if n := v.Requests(address); n != 0 {
				t.Errorf("the forged image was fetched %d times", n)
			}
		}
		if artifacts != 2 || skipped != 3 || v.Requests(job.ResultURL) != 1 {
			t.Errorf("%d artifacts, %d events skipped, %d requests", artifacts, skipped, v.Requests(job.ResultURL))
		}
	})
}

// A flood of made-up jobs from one address costs the account a few calls, and nobody else his turn.
func TestForgerCannotBurnTheQuota(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		c := trusting(t, place, v)
		c.DeepImage.UnknownPerMinute = 5
		if err := c.HTTP.TrustedProxies.Decode("127.0.0.0/8"); err != nil {
			t.Fatal(err)
		}
		r := start(t, c)
		from := func(address string, job fakevendor.Job) event.ID {
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
		r.reaches(t, from("198.51.100.7", newJob(t, v, fakevendor.JobOptions{})), event.Done)
		if calls := v.Calls(fakevendor.CallResult); calls > 2*5+2*int64(c.DeepImage.Concurrency)+1 {
			t.Errorf("%d calls for two sources that may cost five in a minute each", calls)
		}
	})
}

// What stands before the API may refuse ids that look like an attack. A forger who uses them stops nobody else's look-ups.
func TestForgerCannotPauseTheAPI(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
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
		r.reaches(t, post(t, client, r.webhook(), v.Callback(newJob(t, v, fakevendor.JobOptions{}), r.webhook())).ID, event.Done)
	})
}

// header sends what a proxy would.
type header struct {
	http.RoundTripper
	client string
}

func (h header) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-For", h.client)
	return h.RoundTripper.RoundTrip(r)
}

// The key opens the API alone: nothing that is logged, stored or fetched has it.
func TestKeyStaysWithTheAPI(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		v, client := vendor(t), newClient(t)
		c := trusting(t, place, v)
		r := start(t, c)
		trouble := fakevendor.Trouble{Kind: fakevendor.Mirror, Times: 1}
		job := newJob(t, v, fakevendor.JobOptions{Troubles: []fakevendor.Trouble{trouble}, Expired: http.StatusGone})
		h := r.reaches(t, post(t, client, r.webhook(), v.Callback(job, r.webhook())).ID, event.Done)
		r.stop()
		if strings.Contains(r.log.String(), v.APIKey()) || strings.Contains(fmt.Sprintf("%+v", h), v.APIKey()) {
			t.Errorf("the key is told:\n%s\n%+v", r.log, h)
		}
	})
}
