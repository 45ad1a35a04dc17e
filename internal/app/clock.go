package app

import (
	"context"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/database"
)

const (
	// clockInterval is the pause between two readings of the clock of the database; localClockInterval that of this machine.
	clockInterval      = 5 * time.Second
	localClockInterval = time.Second
	// maxSkew is the largest difference of two clocks that needs no attention.
	maxSkew = time.Second
	// skewWarningInterval is the pause between two warnings about a difference.
	skewWarningInterval = time.Hour
	// longestDelay is at least the longest delay of a step that is not deferred for an outage.
	longestDelay = time.Hour
)

// timekeeper follows the clock of the database. It corrects the times of steps when that jumps, and warns when the clock of this
// machine differs from it.
type timekeeper struct {
	*background.Service
	clockMetrics

	app    *App
	db     *database.DB
	warned time.Time // zero while the clocks agree
}

func newTimekeeper(a *App, db *database.DB) *timekeeper {
	k := &timekeeper{app: a, db: db, clockMetrics: newClockMetrics()}
	interval := localClockInterval
	if db.Kind == database.Postgres {
		interval = clockInterval
	}
	k.Service = background.New("app", background.Loop{
		Pass:   background.Every(interval, k.look),
		Failed: func(err error) { a.log.Error().Err(err).Msg("reading the clock of the database failed, will retry") },
	})
	return k
}

// begin corrects what the clock, or a time without a process, has done to the times of steps.
func (k *timekeeper) begin(ctx context.Context) error {
	longest := max(k.app.config.Retry.MaxDelay, longestDelay)
	gap, err := k.app.work.Workflow.CorrectStart(ctx, longest)
	if err != nil {
		return err
	}
	if gap < 0 {
		longest = 0 // all scheduled jobs are later than their steps
		k.app.log.Warn().Float64("seconds", gap.Seconds()).Msg("clock went back since the last run, times of steps corrected")
	}
	_, err = k.app.queue.ReleaseScheduled(ctx, longest)
	return err
}

// look reads the clock once.
func (k *timekeeper) look(ctx context.Context) error {
	reading, err := k.db.ReadClock(ctx)
	if err != nil {
		return err
	}
	if drift := k.db.Drift(reading); drift.Abs() > maxSkew {
		err = k.correct(ctx, reading, drift)
	} else {
		k.db.AdoptClock(reading)
	}
	if err != nil {
		return err
	}
	k.warn()
	return k.app.work.Workflow.RecordTime(ctx)
}

// correct corrects the times of steps after a jump.
func (k *timekeeper) correct(ctx context.Context, reading database.Reading, drift time.Duration) error {
	corrected, err := k.app.work.Workflow.CorrectJump(ctx, reading)
	if err != nil {
		return err
	}
	k.jumps.Inc()
	k.app.log.Warn().Float64("seconds", drift.Seconds()).Bool("corrected", corrected != 0).Msg("clock jumped")
	if corrected < 0 {
		_, err = k.app.queue.ReleaseScheduled(ctx, 0)
	}
	return err
}

// warn logs a lasting difference between the clocks, every hour.
func (k *timekeeper) warn() {
	skew := k.db.Skew()
	switch {
	case skew.Abs() <= maxSkew:
		k.warned = time.Time{}
	case k.warned.IsZero() || time.Since(k.warned) >= skewWarningInterval:
		k.warned = time.Now()
		k.app.log.Warn().Float64("seconds", skew.Seconds()).Msg("clock of this machine differs from that of the database")
	}
}
