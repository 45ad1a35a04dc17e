package reconcile_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/deepimage-receiver/receiver/internal/reconcile"
	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	resultURL = "https://deep-image.ai/images/1.png"
	after     = time.Minute
	horizon   = 24 * time.Hour
)

func testConfig() reconcile.Config { return reconcile.Config{After: after, Horizon: horizon} }

// TestDecide compares decisions without their details, which are prose.
func TestDecide(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	future, past := now.Add(10*time.Hour), now.Add(-time.Second)
	complete := deepimage.JobStatus{State: deepimage.Complete, ResultURL: resultURL}
	pending := deepimage.JobStatus{State: deepimage.Pending, Status: "predicting"}
	full := errors.New("the inbox is full")
	down := func(after time.Duration) error {
		return &deepimage.Error{Kind: deepimage.KindUnavailable, After: after}
	}
	for name, row := range map[string]struct {
		job    jobs.Job
		answer reconcile.Answer
		want   reconcile.Decision
	}{
		"found": {
			job:    jobs.Job{Job: "job-1", Horizon: future},
			answer: reconcile.Answer{JobStatus: complete},
			want:   reconcile.Decision{State: jobs.Reconciled},
		},
		"found beyond the horizon": {
			job:    jobs.Job{Job: "job-1", Horizon: past},
			answer: reconcile.Answer{JobStatus: complete},
			want:   reconcile.Decision{State: jobs.Reconciled},
		},
		"callback is in the inbox": {
			job:    jobs.Job{Job: "job-1", Horizon: future},
			answer: reconcile.Answer{JobStatus: complete, Receipt: event.Receipt{ID: "1", Duplicate: true}},
			want:   reconcile.Decision{State: jobs.Arrived},
		},
		"inbox is full": {
			job:    jobs.Job{Job: "job-1", Horizon: future},
			answer: reconcile.Answer{JobStatus: complete, InboxErr: full},
			want:   reconcile.Decision{Next: now.Add(after)},
		},
		"inbox is full beyond the horizon": {
			job:    jobs.Job{Job: "job-1", Horizon: past},
			answer: reconcile.Answer{JobStatus: complete, InboxErr: full},
			want:   reconcile.Decision{Next: now.Add(after)},
		},
		"failed": {
			job:    jobs.Job{Job: "job-1", Horizon: future},
			answer: reconcile.Answer{JobStatus: deepimage.JobStatus{State: deepimage.Failed, Message: "bad image"}},
			want:   reconcile.Decision{State: jobs.Failed},
		},
		"deleted": {
			job:    jobs.Job{Job: "job-1", Horizon: future},
			answer: reconcile.Answer{JobStatus: deepimage.JobStatus{State: deepimage.Deleted}},
			want:   reconcile.Decision{State: jobs.Expired},
		},
		"pending": {
			job:    jobs.Job{Job: "job-1", Horizon: future},
			answer: reconcile.Answer{JobStatus: pending},
			want:   reconcile.Decision{Next: now.Add(after), Polled: true},
		},
		"pending after three polls": {
			job:    jobs.Job{Job: "job-1", Horizon: future, Polls: 3},
			answer: reconcile.Answer{JobStatus: pending},
			want:   reconcile.Decision{Next: now.Add(8 * after), Polled: true},
		},
		"pending after many polls": {
			job:    jobs.Job{Job: "job-1", Horizon: future, Polls: 1000},
			answer: reconcile.Answer{JobStatus: pending},
			want:   reconcile.Decision{Next: now.Add(time.Hour), Polled: true},
		},
		"pending shortly before the horizon": {
			job:    jobs.Job{Job: "job-1", Horizon: now.Add(time.Second)},
			answer: reconcile.Answer{JobStatus: pending},
			want:   reconcile.Decision{Next: now.Add(time.Second), Polled: true},
		},
		"pending at the horizon": {
			job:    jobs.Job{Job: "job-1", Horizon: now},
			answer: reconcile.Answer{JobStatus: pending},
			want:   reconcile.Decision{State: jobs.Lost},
		},
		"unknown": {
			job:    jobs.Job{Job: "job-1", Horizon: future},
			answer: reconcile.Answer{JobStatus: deepimage.JobStatus{State: deepimage.Unknown}},
			want:   reconcile.Decision{Next: now.Add(after), Polled: true},
		},
		"unknown beyond the horizon": {
			job:    jobs.Job{Job: "job-1", Horizon: past},
			answer: reconcile.Answer{JobStatus: deepimage.JobStatus{State: deepimage.Unknown}},
			want:   reconcile.Decision{State: jobs.Lost},
		},
		"API is down for half an hour": {
			job:    jobs.Job{Job: "job-1", Horizon: future},
			answer: reconcile.Answer{Err: down(30 * time.Minute)},
			want:   reconcile.Decision{Next: now.Add(30 * time.Minute)},
		},
		"API is down beyond the horizon": {
			job:    jobs.Job{Job: "job-1", Horizon: past},
			answer: reconcile.Answer{Err: down(0)},
			want:   reconcile.Decision{Next: now.Add(after)},
		},
		"submitted without an id": {
			job:  jobs.Job{State: jobs.Submitting, Horizon: future},
			want: reconcile.Decision{Next: future},
		},
		"submitted without an id, beyond the horizon": {
			job:  jobs.Job{State: jobs.Submitting, Horizon: past},
			want: reconcile.Decision{State: jobs.Lost},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			unchanged := func(pause time.Duration) time.Duration { return pause }
			got := reconcile.Decide(testConfig(), row.job, row.answer, now, unchanged)
			if diff := cmp.Diff(row.want, got, cmpopts.IgnoreFields(reconcile.Decision{}, "Detail")); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
}

// TestDecideKeepsDetail keeps what the submission knows about a job without an id.
func TestDecideKeepsDetail(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, end := range map[string]time.Time{"waiting": now.Add(time.Hour), "lost": now.Add(-time.Hour)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := jobs.Job{State: jobs.Submitting, Detail: "timeout", Horizon: end}
			if got := reconcile.Decide(testConfig(), job, reconcile.Answer{}, now, nil).Detail; got != job.Detail {
				t.Errorf("detail = %q, want %q", got, job.Detail)
			}
		})
	}
}

// fake is the store, the inbox and the vendor of a reconciler. One job is due, once.
type fake struct {
	job       jobs.Job
	jobStatus deepimage.JobStatus
	vendorErr error
	receipt   event.Receipt
	inboxErr  error
	resolved  bool // before the reconciler resolves the job

	acquired bool
	accepted event.Event
	recorded chan record
}

// record is what the reconciler recorded.
type record struct {
	State  jobs.State // "" for a rescheduled job
	Event  event.ID
	Next   time.Time
	Polled bool
}

func (f *fake) Track(context.Context, []string, time.Time, time.Time) ([]jobs.Job, error) {
	return nil, nil
}

func (f *fake) AcquireDue(context.Context, time.Duration, int) ([]jobs.Job, error) {
	if f.acquired {
		return nil, nil
	}
	f.acquired = true
	return []jobs.Job{f.job}, nil
}

func (f *fake) Reschedule(_ context.Context, _ string, next time.Time, polled bool, _ string) error {
	f.recorded <- record{Next: next, Polled: polled}
	return nil
}

func (f *fake) Resolve(_ context.Context, _ string, state jobs.State, id event.ID, _ string) (bool, error) {
	f.recorded <- record{State: state, Event: id}
	return !f.resolved, nil
}

func (f *fake) Now() time.Time { return time.Now() }

func (f *fake) ReleaseLeases(context.Context) error { return nil }

func (f *fake) Accept(_ context.Context, e event.Event) (event.Receipt, error) {
	f.accepted = e
	return f.receipt, f.inboxErr
}

func (f *fake) Result(context.Context, string, ...deepimage.LookupOption) (deepimage.JobStatus, error) {
	return f.jobStatus, f.vendorErr
}

// run starts a reconciler for the one job and returns what it recorded, and how many jobs it counted.
func (f *fake) run(t *testing.T) (got record, counted float64) {
	t.Helper()
	f.recorded = make(chan record, 1)
	r := reconcile.New(testConfig(), reconcile.Deps{Store: f, Inbox: f, Vendor: f, Concurrency: 1, Log: zerolog.Nop()})
	passed := r.Passed.Listen()
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	testkit.Receive(t, "a pass of the reconciler", passed)
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case got = <-f.recorded:
	default:
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(r.Collectors()...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, metric := range families[0].GetMetric() {
		counted += metric.GetCounter().GetValue()
	}
	return got, counted
}

func TestReconcile(t *testing.T) {
	t.Parallel()
	job := jobs.Job{Job: "job-1", Horizon: time.Now().Add(horizon)}
	complete := deepimage.JobStatus{State: deepimage.Complete, ResultURL: resultURL}
	for name, row := range map[string]struct {
		fake    fake
		want    record
		counted float64
	}{
		"found": {
			fake: fake{job: job, jobStatus: complete, receipt: event.Receipt{ID: "1"}},
			want: record{State: jobs.Reconciled, Event: "1"}, counted: 1,
		},
		"found and resolved by the relay": {
			fake: fake{job: job, jobStatus: complete, receipt: event.Receipt{ID: "1"}, resolved: true},
			want: record{State: jobs.Reconciled, Event: "1"}, counted: 1,
		},
		"failed": {
			fake: fake{job: job, jobStatus: deepimage.JobStatus{State: deepimage.Failed}},
			want: record{State: jobs.Failed}, counted: 1,
		},
		"failed and resolved by its callback": {
			fake: fake{job: job, jobStatus: deepimage.JobStatus{State: deepimage.Failed}, resolved: true},
			want: record{State: jobs.Failed},
		},
		"submitted without an id": {
			fake: fake{job: jobs.Job{State: jobs.Submitting, Horizon: job.Horizon}},
			want: record{Next: job.Horizon},
		},
		"receiver stops": {
			fake: fake{job: job, vendorErr: &deepimage.Error{Kind: deepimage.KindCancelled}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, counted := row.fake.run(t)
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("recorded (-want +got):\n%s", diff)
			}
			if counted != row.counted {
				t.Errorf("counted jobs = %g, want %g", counted, row.counted)
			}
		})
	}
}

// TestRescheduleHasJitter lengthens the pause of a pending job by up to an eighth.
func TestRescheduleHasJitter(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	f := fake{job: jobs.Job{Job: "job-1", Horizon: begun.Add(horizon)}, jobStatus: deepimage.JobStatus{State: deepimage.Pending}}
	got, _ := f.run(t)
	const limit = after * 5 / 4 // an eighth, and time for the test
	if pause := got.Next.Sub(begun); !got.Polled || pause < after || pause > limit {
		t.Errorf("polled = %t, next after %s; want true, between %s and %s", got.Polled, pause, after, limit)
	}
}

// TestAcceptedEvent compares the event of a result with the one of its callback.
func TestAcceptedEvent(t *testing.T) {
	t.Parallel()
	names := event.Names{Input: "a.png", Reference: "SKU-4711"}
	f := fake{
		job:       jobs.Job{Job: "job-1", Names: names, Horizon: time.Now().Add(horizon)},
		jobStatus: deepimage.JobStatus{State: deepimage.Complete, ResultURL: resultURL},
	}
	f.run(t)
	callback, err := event.Decode([]byte(`{"job":"job-1","data":{"scale":2},"result_url":"` + resultURL + `","results":null}`))
	if err != nil {
		t.Fatal(err)
	}
	got := f.accepted
	if got.Job != callback.Job || got.Digest != callback.Digest || got.ResultURL != resultURL {
		t.Errorf("accepted job %q, digest %x, result URL %q; want those of the callback: %q, %x, %q",
			got.Job, got.Digest, got.ResultURL, callback.Job, callback.Digest, resultURL)
	}
	if got.Names != names {
		t.Errorf("accepted names %+v, want %+v", got.Names, names)
	}
	if got.Origin != event.OriginReconciled || got.Source.IsValid() {
		t.Errorf("accepted origin %q, source %v; want %q and none", got.Origin, got.Source, event.OriginReconciled)
	}
}
