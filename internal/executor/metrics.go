package executor

import (
	"time"

	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics count attempts. Every label comes from a fixed set: names of configured steps, states and reasons.
type metrics struct {
	attempts  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	ages      *prometheus.HistogramVec
	bytes     *prometheus.CounterVec
}

func newMetrics() *metrics {
	const handler = "handler"
	return &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "receiver_step_attempts_total", Help: "Finished attempts of steps by outcome; the reason of a success is empty.",
		}, []string{handler, "outcome", "reason"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "receiver_step_duration_seconds", Help: "Duration of attempts of steps.",
			Buckets: []float64{.005, .02, .1, .5, 1, 2.5, 5, 10, 30, 60, 300, 600},
		}, []string{handler}),
		ages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "receiver_step_done_after_seconds", Help: "Time from the receipt of a callback until a step was done.",
			Buckets: []float64{.05, .2, 1, 5, 15, 60, 300, 1800, 7200, 43200},
		}, []string{handler}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "receiver_artifact_bytes_total", Help: "Bytes of stored files.",
		}, []string{handler}),
	}
}

// count counts an attempt whose result is recorded.
func (m *metrics) count(attempt workflow.Attempt, result workflow.Result) {
	m.attempts.WithLabelValues(attempt.Handler, string(result.State), string(result.Reason)).Inc()
	m.durations.WithLabelValues(attempt.Handler).Observe(time.Since(attempt.Started).Seconds())
	if result.Reason == "" {
		m.ages.WithLabelValues(attempt.Handler).Observe(time.Since(attempt.Received).Seconds())
	}
	for _, artifact := range result.Artifacts {
		m.bytes.WithLabelValues(attempt.Handler).Add(float64(artifact.Bytes))
	}
}

// Collectors returns the metrics of the executor.
func (x *Executor) Collectors() []prometheus.Collector {
	return []prometheus.Collector{x.metrics.attempts, x.metrics.durations, x.metrics.ages, x.metrics.bytes}
}
