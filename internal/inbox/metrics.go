package inbox

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics measure how events are stored.
type metrics struct {
	durations  prometheus.Histogram
	batches    prometheus.Histogram
	lastCommit atomic.Int64 // microseconds since 1970
}

func newMetrics() *metrics {
	return &metrics{
		durations: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "receiver_accept_duration_seconds", Help: "Time until an event was committed and synced, the wait for its batch included.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15},
		}),
		batches: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "receiver_accept_batch_events", Help: "Events that were committed by one transaction.",
			Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024},
		}),
	}
}

// measure returns write, measured.
func (m *metrics) measure(write func([]*entry) error) func([]*entry) error {
	return func(entries []*entry) error {
		events := 0
		for _, e := range entries {
			if e.kind == storeEvent {
				events++
			}
		}
		err := write(entries)
		if err != nil {
			return err
		}
		m.lastCommit.Store(time.Now().UnixMicro())
		if events > 0 {
			m.batches.Observe(float64(events))
		}
		return nil
	}
}

// Collectors returns the metrics of the inbox.
func (i *Inbox) Collectors() []prometheus.Collector {
	return []prometheus.Collector{i.metrics.durations, i.metrics.batches}
}

// LastCommit returns when this process last committed and synced something; zero if it did not yet.
func (i *Inbox) LastCommit() time.Time {
	if at := i.metrics.lastCommit.Load(); at != 0 {
		return time.UnixMicro(at)
	}
	return time.Time{}
}
