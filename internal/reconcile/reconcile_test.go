package reconcile_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/deepimage-receiver/receiver/internal/reconcile"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk stands for everything around the reconciler: it has one job, which is due once.
type desk struct {
	expected jobs.Job
	verdict  deepimage.Verdict
	failure  error
	receipt  event.Receipt
	refusal  error

	come     bool // the callback, before anything is written down
	given    bool
	accepted event.Event
	outcome  chan outcome
}

// outcome is what was written down.
type outcome struct {
	state  jobs.State // "" when it is put off
	id     event.ID
	detail string
	next   time.Time
	asked  bool
}

func (d *desk) Track(context.Context, []string, time.Time, time.Time) ([]jobs.Job, error) {
	return nil, nil
}

func (d *desk) AcquireDue(context.Context, time.Duration, int) ([]jobs.Job, error) {
	if d.given {
		return nil, nil
	}
	d.given = true
	return []jobs.Job{d.expected}, nil
}

func (d *desk) Reschedule(_ context.Context, _ string, next time.Time, asked bool, detail string) error {
	d.outcome <- outcome{next: next, asked: asked, detail: detail}
	return nil
}

func (d *desk) Resolve(_ context.Context, _ string, state jobs.State, id event.ID, detail string) (bool, error) {
	d.outcome <- outcome{state: state, id: id, detail: detail}
	return !d.come, nil
}

func (d *desk) ReleaseLeases(context.Context) error { return nil }

func (d *desk) Accept(_ context.Context, e event.Event) (event.Receipt, error) {
	d.accepted = e
	return d.receipt, d.refusal
}

func (d *desk) Result(context.Context, string, ...deepimage.Look) (deepimage.Verdict, error) {
	return d.verdict, d.failure
}

func TestWhatBecomesOfAnExpectation(t *testing.T) {
	t.Parallel()
	const address = "https://deep-image.ai/images/1.png"
	complete := deepimage.Verdict{State: deepimage.Complete, ResultURL: address}
	rows := map[string]struct {
		desk  desk
		past  bool // the horizon
		want  jobs.State
		after time.Duration // how long it is put off, at least
		asked bool
		says  string
	}{
		"found":              {desk: desk{verdict: complete, receipt: event.Receipt{ID: "1"}}, want: jobs.Reconciled},
		"was in the inbox":   {desk: desk{verdict: complete, receipt: event.Receipt{ID: "1", Duplicate: true}}, want: jobs.Arrived},
		"inbox is full":      {desk: desk{verdict: complete, refusal: errors.New("full")}, after: time.Minute},
		"failed":             {desk: desk{verdict: deepimage.Verdict{State: deepimage.Failed, Message: "bad image"}}, want: jobs.Failed},
		"deleted":            {desk: desk{verdict: deepimage.Verdict{State: deepimage.Deleted}}, want: jobs.Expired},
		"pending":            {desk: desk{verdict: deepimage.Verdict{State: deepimage.Pending, Status: "predicting"}}, after: time.Minute, asked: true},
		"unknown":            {desk: desk{verdict: deepimage.Verdict{State: deepimage.Unknown}}, after: time.Minute, asked: true},
		"after many polls":   {desk: desk{verdict: deepimage.Verdict{State: deepimage.Unknown}, expected: jobs.Job{Polls: 3}}, after: 8 * time.Minute, asked: true},
		"the API is down":    {desk: desk{failure: &deepimage.Error{Kind: deepimage.KindUnavailable, After: 30 * time.Minute}}, after: 30 * time.Minute},
		"at the horizon":     {desk: desk{verdict: deepimage.Verdict{State: deepimage.Pending}}, past: true, want: jobs.Lost},
		"down, horizon":      {desk: desk{failure: &deepimage.Error{Kind: deepimage.KindUnavailable}}, past: true, after: time.Minute},
		"full, horizon":      {desk: desk{verdict: complete, refusal: errors.New("full")}, past: true, after: time.Minute},
		"found, horizon":     {desk: desk{verdict: complete}, past: true, want: jobs.Reconciled},
		"job was never told": {desk: desk{expected: jobs.Job{State: jobs.Submitting}}, past: true, want: jobs.Lost, says: "never said"},
		"never told, remark": {desk: desk{expected: jobs.Job{State: jobs.Submitting, Detail: "Not known."}}, past: true, want: jobs.Lost, says: "Not known."},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &row.desk
			d.outcome = make(chan outcome, 1)
			d.expected.Horizon = time.Now().Add(time.Hour)
			if d.expected.State == "" {
				d.expected.Job = "job-1"
			}
			if row.past {
				d.expected.Horizon = time.Now().Add(-time.Second)
			}
			r := reconcile.New(reconcile.Config{After: time.Minute, Horizon: time.Hour}, reconcile.Deps{
				Store: d, Inbox: d, Vendor: d, Concurrency: 1, Log: zerolog.Nop(),
			})
			begun := time.Now()
			if err := r.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := <-d.outcome
			if err := r.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got.state != row.want || got.id != d.receipt.ID || got.asked != row.asked || !strings.Contains(got.detail, row.says) {
				t.Errorf("got %+v", got)
			}
			if wait := got.next.Sub(begun); row.want == "" && (wait < row.after || wait > row.after*5/4) {
				t.Errorf("it is put off for %s", wait)
			}
			if e := d.accepted; e.Job != "" && (e.Origin != event.OriginReconciled || e.ResultURL != address || e.Source.IsValid()) {
				t.Errorf("accepted %+v", e)
			}
		})
	}
}

// What is found counts also when the relay wrote it down before; what is given up does not when its callback came at that moment.
func TestOutcomesAreCounted(t *testing.T) {
	t.Parallel()
	found := deepimage.Verdict{State: deepimage.Complete, ResultURL: "https://deep-image.ai/images/1.png"}
	for name, row := range map[string]struct {
		desk desk
		want float64
	}{
		"found":                    {desk{verdict: found}, 1},
		"found, and relayed":       {desk{verdict: found, come: true}, 1},
		"failed":                   {desk{verdict: deepimage.Verdict{State: deepimage.Failed}}, 1},
		"failed, and then it came": {desk{verdict: deepimage.Verdict{State: deepimage.Failed}, come: true}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &row.desk
			d.outcome, d.expected = make(chan outcome, 1), jobs.Job{Job: "job-1", Horizon: time.Now().Add(time.Hour)}
			r := reconcile.New(reconcile.Config{After: time.Minute, Horizon: time.Hour}, reconcile.Deps{
				Store: d, Inbox: d, Vendor: d, Concurrency: 1, Log: zerolog.Nop(),
			})
			if err := r.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			<-d.outcome
			if err := r.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			registry := prometheus.NewRegistry()
			registry.MustRegister(r.Collectors()...)
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			var counted float64
			for _, metric := range families[0].GetMetric() {
				counted += metric.GetCounter().GetValue()
			}
			if counted != row.want {
				t.Errorf("%g are counted", counted)
			}
		})
	}
}
