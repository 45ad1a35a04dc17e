package fetch

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics measure the transfers of a client.
type metrics struct {
	bytes  prometheus.Counter
	speeds prometheus.Histogram
}

func newMetrics() metrics {
	const kib, mib = 1 << 10, 1 << 20
	return metrics{
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "receiver_fetch_bytes_total", Help: "Bytes received from the hosts of results, those of broken transfers included.",
		}),
		speeds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "receiver_fetch_throughput_bytes_per_second", Help: "Average throughput of each complete transfer, with its connection and pauses.",
			Buckets: []float64{4 * kib, 64 * kib, 256 * kib, mib, 4 * mib, 16 * mib, 64 * mib, 256 * mib, 1024 * mib},
		}),
	}
}

// completed records a transfer that ended without an error.
func (m metrics) completed(bytes int64, took time.Duration) {
	m.speeds.Observe(float64(bytes) / max(took.Seconds(), time.Microsecond.Seconds()))
}

// Collectors returns the metrics of the client.
func (c *Client) Collectors() []prometheus.Collector {
	return []prometheus.Collector{c.metrics.bytes, c.metrics.speeds}
}
