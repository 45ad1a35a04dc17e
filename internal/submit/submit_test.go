package submit_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/deepimage-receiver/receiver/internal/submit"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

const (
	webhook = "https://receiver.example.com/webhooks/deep-image/"
	after   = 10 * time.Minute
	horizon = 24 * time.Hour
)

// fakeStore records the calls of a Submitter. Its errors are returned by the method of their name.
type fakeStore struct {
	prepareErr error
	setJobErrs int // failures of SetJob before it succeeds
	tokenErr   error
	accepts    bool
	acceptsErr error

	calls     []string
	lastToken jobs.TokenHash
}

func (s *fakeStore) Now() time.Time { return time.Now() }

func (s *fakeStore) record(call string) {
	s.calls = append(s.calls, call)
}

func (s *fakeStore) Prepare(_ context.Context, token jobs.TokenHash, _ event.Names, _ time.Time) (jobs.Job, error) {
	s.record("prepare")
	s.lastToken = token
	return jobs.Job{ID: "1"}, s.prepareErr
}

func (s *fakeStore) SetJob(_ context.Context, id, job string, _, _ time.Time) (jobs.Job, error) {
	s.record("set job")
	if s.setJobErrs > 0 {
		s.setJobErrs--
		return jobs.Job{}, errors.New("database is down")
	}
	return jobs.Job{ID: id, Job: job}, nil
}

func (s *fakeStore) Forget(context.Context, string) error { s.record("forget"); return nil }
func (s *fakeStore) SetDetail(context.Context, string, string) error {
	s.record("set detail")
	return nil
}

func (s *fakeStore) FindToken(_ context.Context, token jobs.TokenHash) (found, used bool, err error) {
	s.record("find token")
	return token == s.lastToken, false, s.tokenErr
}

func (s *fakeStore) AcceptsToken(context.Context, jobs.TokenHash, string, event.Digest) (bool, error) {
	return s.accepts, s.acceptsErr
}

func (s *fakeStore) UseToken(context.Context, jobs.TokenHash, string, event.Digest, time.Time) (bool, error) {
	return s.accepts, s.tokenErr
}

// fakeVendor returns its errors one after the other, and then a job.
type fakeVendor struct {
	errs     []error
	block    bool // until the context ends
	requests [][]byte
}

func (v *fakeVendor) Submit(ctx context.Context, request []byte) (string, error) {
	v.requests = append(v.requests, request)
	if v.block {
		<-ctx.Done()
		return "", &deepimage.Error{Kind: deepimage.KindOutcome, Text: "cancelled"}
	}
	if n := len(v.requests) - 1; n < len(v.errs) {
		return "", v.errs[n]
	}
	return "job", nil
}

func newSubmitter(store *fakeStore, vendor *fakeVendor) *submit.Submitter {
	return submit.New(submit.Deps{Store: store, Vendor: vendor, Webhook: webhook, After: after, Horizon: horizon, Log: zerolog.Nop()})
}

// tokenOf returns the token in the webhook of a request.
func tokenOf(t *testing.T, request []byte) string {
	t.Helper()
	var sent struct{ Webhooks struct{ Complete string } }
	if err := json.Unmarshal(request, &sent); err != nil {
		t.Fatal(err)
	}
	token, ok := strings.CutPrefix(sent.Webhooks.Complete, webhook)
	if !ok {
		t.Fatalf("webhook = %q, want one that begins with %q", sent.Webhooks.Complete, webhook)
	}
	return token
}

func TestSubmit(t *testing.T) {
	t.Parallel()
	failed := func(kind deepimage.Kind) error { return &deepimage.Error{Kind: kind, Text: "failed"} }
	slots := failed(deepimage.KindSlots)
	for _, row := range []struct {
		name    string
		store   fakeStore
		vendor  fakeVendor
		wait    time.Duration
		kind    deepimage.Kind // "" for success, or another error
		isError bool
		calls   string // of the store
		sent    int
		outcome string
	}{
		{name: "submitted", calls: "prepare, set job", sent: 1, outcome: "submitted"},
		{name: "store is down before", store: fakeStore{prepareErr: errors.New("down")}, isError: true, calls: "prepare"},
		{name: "store is down for a while after", store: fakeStore{setJobErrs: 2}, calls: "prepare, set job, set job, set job", sent: 1, outcome: "submitted"},
		{name: "refused", vendor: fakeVendor{errs: []error{failed(deepimage.KindRefused)}}, kind: deepimage.KindRefused, calls: "prepare, forget", sent: 1, outcome: "refused"},
		{name: "unknown outcome", vendor: fakeVendor{errs: []error{failed(deepimage.KindOutcome)}}, kind: deepimage.KindOutcome, calls: "prepare, set detail", sent: 1, outcome: "unknown_outcome"},
		{name: "slots without waiting", vendor: fakeVendor{errs: []error{slots}}, kind: deepimage.KindSlots, calls: "prepare, forget", sent: 1, outcome: "slots"},
		{name: "slots for a while", vendor: fakeVendor{errs: []error{slots, slots}}, wait: time.Minute, calls: "prepare, set job", sent: 3, outcome: "submitted"},
		{name: "slots for too long", vendor: fakeVendor{errs: []error{slots, slots, slots}}, wait: 5 * time.Second, kind: deepimage.KindSlots, calls: "prepare, forget", sent: 3, outcome: "slots"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				submitter := newSubmitter(&row.store, &row.vendor)
				defer func() { _ = submitter.Stop(t.Context()) }()
				job, err := submitter.Submit(t.Context(), []byte(`{"url":"https://example.com/a.png"}`), event.Names{}, row.wait)
				if wantErr := row.isError || row.kind != ""; (err != nil) != wantErr || deepimage.KindOf(err) != row.kind {
					t.Errorf("Submit() = %v, want an error: %t, of kind %q", err, wantErr, row.kind)
				}
				if err == nil && job != (jobs.Job{ID: "1", Job: "job"}) {
					t.Errorf("job = %+v, want the tracked job 1 with the id of the vendor", job)
				}
				if got := strings.Join(row.store.calls, ", "); got != row.calls {
					t.Errorf("calls of the store = %q, want %q", got, row.calls)
				}
				if got := len(row.vendor.requests); got != row.sent {
					t.Errorf("requests = %d, want %d", got, row.sent)
				}
				if row.outcome == "" {
					return
				}
				if got := outcomes(t, submitter)[row.outcome]; got != 1 {
					t.Errorf("outcomes %s = %v, want 1", row.outcome, got)
				}
			})
		})
	}
}

// outcomes returns the counters of a submitter by outcome.
func outcomes(t *testing.T, submitter *submit.Submitter) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(submitter.Collectors()...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			counts[metric.GetLabel()[0].GetValue()] = metric.GetCounter().GetValue()
		}
	}
	return counts
}

func TestSubmitWithoutStoredJob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &fakeStore{setJobErrs: 1000}
		submitter := newSubmitter(store, &fakeVendor{})
		defer func() { _ = submitter.Stop(t.Context()) }()
		job, err := submitter.Submit(t.Context(), []byte(`{}`), event.Names{}, 0)
		unstored, ok := errors.AsType[*submit.UnstoredError](err)
		if !ok || unstored.Job != "job" || job.ID != "1" {
			t.Errorf("Submit() = %+v, %v, want an UnstoredError of job and the tracked job 1", job, err)
		}
	})
}

func TestRequestsAreCheckedBeforeTracking(t *testing.T) {
	t.Parallel()
	store := &fakeStore{}
	submitter := newSubmitter(store, &fakeVendor{})
	defer func() { _ = submitter.Stop(t.Context()) }()
	_, err := submitter.Submit(t.Context(), []byte(`[]`), event.Names{}, 0)
	if deepimage.KindOf(err) != deepimage.KindRefused || len(store.calls) != 0 {
		t.Errorf("Submit() = %v after %d calls of the store, want kind %s after 0", err, len(store.calls), deepimage.KindRefused)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	t.Run("refuses new submissions", func(t *testing.T) {
		t.Parallel()
		submitter := newSubmitter(&fakeStore{}, &fakeVendor{})
		if err := submitter.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := submitter.Submit(t.Context(), []byte(`{}`), event.Names{}, 0); deepimage.KindOf(err) != deepimage.KindCancelled {
			t.Errorf("Submit() = %v, want kind %s", err, deepimage.KindCancelled)
		}
	})
	t.Run("ends the wait for a slot", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			slots := &deepimage.Error{Kind: deepimage.KindSlots}
			submitter := newSubmitter(&fakeStore{}, &fakeVendor{errs: []error{slots, slots, slots}})
			result := make(chan error, 1)
			go func() {
				_, err := submitter.Submit(t.Context(), []byte(`{}`), event.Names{}, time.Hour)
				result <- err
			}()
			synctest.Wait()
			if err := submitter.Stop(t.Context()); err != nil {
				t.Errorf("Stop() = %v, want no error", err)
			}
			if err := <-result; deepimage.KindOf(err) != deepimage.KindSlots {
				t.Errorf("Submit() = %v, want kind %s", err, deepimage.KindSlots)
			}
		})
	})
	t.Run("cancels requests before its deadline", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			store := &fakeStore{}
			submitter := newSubmitter(store, &fakeVendor{block: true})
			result := make(chan error, 1)
			go func() {
				_, err := submitter.Submit(t.Context(), []byte(`{}`), event.Names{}, 0)
				result <- err
			}()
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := submitter.Stop(ctx); err != nil {
				t.Errorf("Stop() = %v, want no error", err)
			}
			if err := <-result; deepimage.KindOf(err) != deepimage.KindOutcome {
				t.Errorf("Submit() = %v, want kind %s", err, deepimage.KindOutcome)
			}
			if got, want := strings.Join(store.calls, ", "), "prepare, set detail"; got != want {
				t.Errorf("calls of the store = %q, want %q", got, want)
			}
		})
	})
}

func TestFind(t *testing.T) {
	t.Parallel()
	store, vendor := &fakeStore{}, &fakeVendor{}
	submitter := newSubmitter(store, vendor)
	defer func() { _ = submitter.Stop(t.Context()) }()
	if _, err := submitter.Submit(t.Context(), []byte(`{}`), event.Names{}, 0); err != nil {
		t.Fatal(err)
	}
	token := tokenOf(t, vendor.requests[0])
	for _, row := range []struct {
		name, token string
		want, asks  bool
	}{
		{name: "token of the job", token: token, want: true, asks: true},
		{name: "other token of a job", token: "job-" + strings.Repeat("A", 26), asks: true},
		{name: "too short", token: token[:len(token)-1]},
		{name: "other prefix", token: "bob-" + token[4:]},
		{name: "empty"},
	} {
		before := len(store.calls)
		got, _, err := submitter.Find(t.Context(), row.token)
		if got != row.want || err != nil {
			t.Errorf("%s: Find = %t, error %v; want %t", row.name, got, err, row.want)
		}
		if asked := len(store.calls) > before; asked != row.asks {
			t.Errorf("%s: lookup in the store: %t, want %t", row.name, asked, row.asks)
		}
	}
}

func TestUse(t *testing.T) {
	t.Parallel()
	down := errors.New("database is down")
	for _, row := range []struct {
		name  string
		store fakeStore
		want  bool
	}{
		{name: "store accepts", store: fakeStore{accepts: true}, want: true},
		{name: "store refuses", store: fakeStore{}},
		{name: "no write, read accepts", store: fakeStore{tokenErr: down, accepts: true}, want: true},
		{name: "no write, read refuses", store: fakeStore{tokenErr: down}},
		{name: "neither write nor read", store: fakeStore{tokenErr: down, acceptsErr: down}, want: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			e := &event.Event{Job: "job"}
			if got := newSubmitter(&row.store, &fakeVendor{}).Use(t.Context(), "job-x", e); got != row.want {
				t.Errorf("Use() = %t, want %t", got, row.want)
			}
			if len(e.Token) == 0 {
				t.Error("token of the event is empty, want its hash")
			}
		})
	}
}
