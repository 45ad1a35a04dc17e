package retention

import "github.com/prometheus/client_golang/prometheus"

// kind is what was removed.
type kind string

const (
	kindBodies     kind = "bodies"
	kindEvents     kind = "events"
	kindDead       kind = "dead"
	kindRejections kind = "rejections"
	kindTombstones kind = "tombstones"
	kindJobs       kind = "jobs"
	kindThumbnails kind = "thumbnails"
	kindImages     kind = "images" // events whose files are deleted next
	kindFiles      kind = "files"
	kindErased     kind = "erased" // events, by a person
)

func kinds() []kind {
	return []kind{kindBodies, kindEvents, kindDead, kindRejections, kindTombstones, kindJobs, kindThumbnails, kindImages, kindFiles, kindErased}
}

type metrics struct{ removed *prometheus.CounterVec }

func newMetrics() metrics {
	m := metrics{removed: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "receiver_retention_removed_total", Help: "What was removed because of its age or by a person, by kind.",
	}, []string{"kind"})}
	for _, k := range kinds() {
		m.count(k, 0) // so that the first one shows as an increase
	}
	return m
}

func (m metrics) count(k kind, n int) { m.removed.WithLabelValues(string(k)).Add(float64(n)) }

// Collectors returns the metrics of what was removed.
func (r *Retention) Collectors() []prometheus.Collector {
	return []prometheus.Collector{r.metrics.removed}
}
