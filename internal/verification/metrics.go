package verification

import "github.com/prometheus/client_golang/prometheus"

// metrics count what Verify does.
type metrics struct{ ignored prometheus.Counter }

func newMetrics() metrics {
	return metrics{ignored: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "receiver_results_ignored_total", Help: "Results of callbacks that are not fetched, because Deep Image reports another one.",
	})}
}

// Collectors returns the metrics of the step.
func (m metrics) Collectors() []prometheus.Collector { return []prometheus.Collector{m.ignored} }

// Collectors returns the metrics of the key.
func (w *KeyWatch) Collectors() []prometheus.Collector {
	return []prometheus.Collector{prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "receiver_api_key_refused", Help: "1 while the Deep Image API refuses the key, else 0.",
	}, func() float64 {
		if since, _ := w.key.KeyRefused(); since.IsZero() {
			return 0
		}
		return 1
	})}
}
