package admin

import (
	"context"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/jobs"
)

const (
	// measureTimeout bounds one measurement.
	measureTimeout = 30 * time.Second
	// measureWait is how long a scrape waits for a new measurement before it gets the last one.
	measureWait = 500 * time.Millisecond
	// measureRetry is the pause after a measurement that failed, measureIdle the one without a scrape.
	measureRetry = 5 * time.Second
	measureIdle  = time.Hour
)

// QueueDepth is the number of jobs of a handler in the queue.
type QueueDepth struct{ Ready, Running, Scheduled int64 }

// Measures are what is measured for the metrics beside the statistics of the overview.
type Measures struct {
	Databases func(context.Context) (map[string]database.Usage, error) // by store
	Queue     func(context.Context) (map[string]QueueDepth, error)     // by handler
	Failed    func(error)                                              // receives an error of a measurement, at most once a minute
}

// measurement is what the metrics of the stores show.
type measurement struct {
	stats        Stats
	oldest       map[event.Status]time.Time
	outboxBytes  int64
	outboxOldest time.Time
	jobs         map[jobs.State]int64
	queue        map[string]QueueDepth
	databases    map[string]database.Usage
}

// Measurer measures the stores in the background when a scrape asks for it, so that a scrape waits for no large store. Measuring takes
// at most a twentieth of the time.
type Measurer struct {
	*background.Service

	measure func(context.Context) (*measurement, error)
	wake    chan struct{}

	mutex   sync.Mutex
	asked   bool // by a scrape, since the last measurement began
	current *measurement
	valid   time.Time     // until when current is not measured again
	err     error         // of the last measurement
	ended   chan struct{} // closed at the end of the next measurement
}

// NewMeasurer returns a measurer that is not started.
func (a *Admin) NewMeasurer(measures Measures) *Measurer {
	return newMeasurer(func(ctx context.Context) (*measurement, error) { return a.measure(ctx, measures) }, measures.Failed)
}

func newMeasurer(measure func(context.Context) (*measurement, error), failed func(error)) *Measurer {
	m := &Measurer{measure: measure, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	m.Service = background.New("admin", background.Loop{Pass: m.pass, Wake: m.wake, Failed: failed})
	return m
}

func (m *Measurer) pass(ctx context.Context) (time.Duration, error) {
	m.mutex.Lock()
	isNeeded := m.asked && time.Now().After(m.valid)
	m.asked = false
	m.mutex.Unlock()
	if !isNeeded {
		return measureIdle, nil
	}
	ctx, cancel := context.WithTimeout(ctx, measureTimeout)
	defer cancel()
	begun := time.Now()
	found, err := m.measure(ctx)
	m.mutex.Lock()
	defer m.mutex.Unlock()
	close(m.ended)
	m.ended, m.err = make(chan struct{}), err
	if err != nil {
		return measureRetry, err
	}
	m.current, m.valid = found, time.Now().Add(max(statsValidFor, statsShare*time.Since(begun)))
	return measureIdle, nil
}

// latest returns the last measurement. If it is old, latest has a new one made and waits a moment for it. It returns false if the last
// one failed, or if there is none before ctx ends.
func (m *Measurer) latest(ctx context.Context) (*measurement, bool) {
	m.mutex.Lock()
	isFirst, isValid, ended := m.current == nil && m.err == nil, time.Now().Before(m.valid), m.ended
	m.asked = !isValid
	m.mutex.Unlock()
	if !isValid {
		select {
		case m.wake <- struct{}{}:
		default: // it is awake
		}
		if !isFirst {
			limited, cancel := context.WithTimeout(ctx, measureWait)
			defer cancel()
			ctx = limited
		}
		select {
		case <-ended:
		case <-ctx.Done():
		}
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.current, m.current != nil && m.err == nil
}

func (a *Admin) measure(ctx context.Context, measures Measures) (*measurement, error) {
	m := &measurement{}
	for _, part := range []func() error{
		func() (err error) { m.stats, err = a.stats.get(ctx); return err },
		func() (err error) { m.oldest, err = a.deps.History.OldestByState(ctx); return err },
		func() (err error) { m.outboxBytes, m.outboxOldest, err = a.deps.Inbox.Outbox(ctx); return err },
		func() (err error) { m.jobs, err = a.deps.Jobs.Counts(ctx); return err },
		func() (err error) { m.queue, err = measures.Queue(ctx); return err },
		func() (err error) { m.databases, err = measures.Databases(ctx); return err },
	} {
		if err := part(); err != nil {
			return nil, err
		}
	}
	return m, nil
}
