package submit

import (
	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics count the outcomes of submissions.
type metrics struct{ outcomes *prometheus.CounterVec }

func newMetrics() metrics {
	outcomes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "receiver_submissions_total", Help: "Job submissions to Deep Image by outcome.",
	}, []string{"outcome"})
	for _, outcome := range []string{
		"submitted", string(deepimage.KindSlots), string(deepimage.KindCredits), string(deepimage.KindRefused), string(deepimage.KindOutcome),
		string(deepimage.KindUnavailable), string(deepimage.KindLimited), string(deepimage.KindKey), string(deepimage.KindCancelled),
	} {
		outcomes.WithLabelValues(outcome) // all series exist from the start
	}
	return metrics{outcomes}
}

// Collectors returns the metrics of the submitter.
func (m metrics) Collectors() []prometheus.Collector { return []prometheus.Collector{m.outcomes} }
