package submit

import (
	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics count what became of submissions.
type metrics struct{ outcomes *prometheus.CounterVec }

func newMetrics() metrics {
	outcomes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "receiver_submissions_total", Help: "Jobs that were to be submitted to Deep Image, by the outcome.",
	}, []string{"outcome"})
	for _, outcome := range []string{
		"submitted", string(deepimage.KindSlots), string(deepimage.KindCredits), string(deepimage.KindRefused), string(deepimage.KindOutcome),
		string(deepimage.KindUnavailable), string(deepimage.KindLimited), string(deepimage.KindKey), string(deepimage.KindCancelled),
	} {
		outcomes.WithLabelValues(outcome) // from the beginning, so that the first one is seen
	}
	return metrics{outcomes}
}

// Collectors are the metrics of the submitter.
func (m metrics) Collectors() []prometheus.Collector { return []prometheus.Collector{m.outcomes} }
