package reconcile

import (
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics count what became of expected callbacks that had to be asked about. Any but those that had
// arrived mean that callbacks get lost.
type metrics struct{ outcomes *prometheus.CounterVec }

func newMetrics() metrics {
	outcomes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "receiver_reconciled_total", Help: "Jobs whose callbacks did not come in time, by what was found when Deep Image was asked.",
	}, []string{"outcome"})
	for _, state := range []jobs.State{jobs.Arrived, jobs.Reconciled, jobs.Failed, jobs.Expired, jobs.Lost} {
		outcomes.WithLabelValues(string(state)) // from the beginning, so that the first one is seen
	}
	return metrics{outcomes}
}

// Collectors are the metrics of the reconciler.
func (m metrics) Collectors() []prometheus.Collector { return []prometheus.Collector{m.outcomes} }
