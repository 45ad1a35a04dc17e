package app

import (
	"context"
	"net/http"
	"time"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/telemetry"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	scrapeTimeout = 8 * time.Second // below the ten seconds that Prometheus waits by default
	maxScrapes    = 4               // at the same time
)

// registry makes the metrics of this receiver, which share nothing with those of other libraries.
func (a *App) registry() (*prometheus.Registry, error) {
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "receiver_build_info", Help: "1, with the version as a label."}, []string{"version"})
	build.WithLabelValues(telemetry.CurrentBuild().Version).Set(1)
	all := []prometheus.Collector{build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})}
	all = append(all, a.server.Collectors()...)
	all = append(all, a.executor.Collectors()...)
	all = append(all, a.submitter.Collectors()...)
	if a.lookout != nil {
		all = append(all, a.lookout.Collectors()...)
	}
	registry := prometheus.NewRegistry()
	for _, collector := range all {
		if err := registry.Register(collector); err != nil {
			return nil, err
		}
	}
	return registry, nil
}

// metricsHandler answers GET /metrics. The counts of the stores are those that the dashboard shows.
func (a *App) metricsHandler(stats func(context.Context) (admin.Stats, error)) (http.Handler, error) {
	registry, err := a.registry()
	if err != nil {
		return nil, err
	}
	if err := registry.Register(newStoreMetrics(stats)); err != nil {
		return nil, err
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		Registry: registry, MaxRequestsInFlight: maxScrapes, Timeout: scrapeTimeout, ErrorHandling: promhttp.ContinueOnError,
	}), nil
}

// storeMetrics gives the counts of the stores when it is asked for them. When the stores do not answer
// in time they are missing, and receiver_store_up is 0.
type storeMetrics struct {
	stats func(context.Context) (admin.Stats, error)

	up, events, steps, troubles, parked, enabled, backlog, oldest, rejected, free, minimum *prometheus.Desc
}

func newStoreMetrics(stats func(context.Context) (admin.Stats, error)) *storeMetrics {
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("receiver_"+name, help, labels, nil)
	}
	return &storeMetrics{
		stats:    stats,
		up:       describe("store_up", "1 if the stores answered in time."),
		events:   describe("events", "Events in the work store by their state.", "state"),
		steps:    describe("steps", "Steps that are not done, by their state.", "handler", "state"),
		troubles: describe("step_troubles", "Steps that are dead or tried again, by the reason.", "handler", "reason"),
		parked:   describe("steps_parked", "Steps that wait until their target is tried again or enabled.", "handler"),
		enabled:  describe("target_enabled", "0 if nothing is sent to the target until a person enables it.", "handler"),
		backlog:  describe("backlog", "Events that are accepted and not in the work store yet."),
		oldest:   describe("oldest_pending_seconds", "Age of the oldest event that is pending, running or retrying; 0 if there is none."),
		rejected: describe("rejected_total", "Callbacks with the right token that were no events, ever."),
		free:     describe("disk_free_bytes", "Free room of the disk below a folder.", "folder"),
		minimum:  describe("disk_minimum_free_bytes", "Free room below which callbacks are not taken.", "folder"),
	}
}

// Describe lists the metrics.
func (m *storeMetrics) Describe(descriptions chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		m.up, m.events, m.steps, m.troubles, m.parked, m.enabled, m.backlog, m.oldest, m.rejected, m.free, m.minimum,
	} {
		descriptions <- d
	}
}

// Collect counts.
func (m *storeMetrics) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout/2)
	defer cancel()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	stats, err := m.stats(ctx)
	if err != nil {
		gauge(m.up, 0)
		return
	}
	gauge(m.up, 1)
	for _, state := range admin.Statuses() {
		gauge(m.events, float64(stats.Events[state]), string(state))
	}
	for _, h := range stats.Handlers {
		if h.Configured { // names from the past are no fixed set
			m.collectHandler(gauge, h)
		}
	}
	gauge(m.backlog, float64(stats.Backlog))
	gauge(m.oldest, stats.Age)
	metrics <- prometheus.MustNewConstMetric(m.rejected, prometheus.CounterValue, float64(stats.Rejected.Ever))
	for _, disk := range stats.Disks {
		gauge(m.free, float64(disk.Free), disk.Path)
		gauge(m.minimum, float64(disk.Minimum), disk.Path)
	}
}

func (m *storeMetrics) collectHandler(gauge func(*prometheus.Desc, float64, ...string), h admin.HandlerStats) {
	for state, n := range map[string]int{"pending": h.Pending, "running": h.Running, "retrying": h.Retrying, "dead": h.Dead} {
		gauge(m.steps, float64(n), h.Name, state)
	}
	for reason, n := range h.Reasons {
		gauge(m.troubles, float64(n), h.Name, string(reason))
	}
	gauge(m.parked, float64(h.Deferred), h.Name)
	isEnabled := 0.0
	if h.Enabled {
		isEnabled = 1
	}
	gauge(m.enabled, isEnabled, h.Name)
}
