package app

import (
	"net/http"
	"time"

	"github.com/deepimage-receiver/receiver/internal/telemetry"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	scrapeTimeout = 8 * time.Second // below the ten seconds that Prometheus waits by default
	maxScrapes    = 4               // at the same time
)

// registry returns the metrics of this receiver, apart from the global registry of the library.
func (a *App) registry() (*prometheus.Registry, error) {
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "receiver_build_info", Help: "1, with the version as a label."}, []string{"version"})
	build.WithLabelValues(telemetry.CurrentBuild().Version).Set(1)
	all := []prometheus.Collector{build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})}
	all = append(all, a.server.Collectors()...)
	all = append(all, a.executor.Collectors()...)
	all = append(all, a.submitter.Collectors()...)
	all = append(all, a.clock.Collectors()...)
	if a.keyWatch != nil {
		all = append(all, a.keyWatch.Collectors()...)
	}
	if a.verify != nil {
		all = append(all, a.verify.Collectors()...)
	}
	if a.reconciler != nil {
		all = append(all, a.reconciler.Collectors()...)
	}
	registry := prometheus.NewRegistry()
	for _, collector := range all {
		if err := registry.Register(collector); err != nil {
			return nil, err
		}
	}
	return registry, nil
}

// metricsHandler answers GET /metrics.
func metricsHandler(registry *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		Registry: registry, MaxRequestsInFlight: maxScrapes, Timeout: scrapeTimeout, ErrorHandling: promhttp.ContinueOnError,
	})
}

// clockMetrics count what a timekeeper notices.
type clockMetrics struct{ jumps prometheus.Counter }

func newClockMetrics() clockMetrics {
	return clockMetrics{jumps: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "receiver_clock_jumps_total", Help: "Jumps of the clock of the database by more than a second.",
	})}
}

// Collectors returns the metrics of the clocks.
func (k *timekeeper) Collectors() []prometheus.Collector {
	return []prometheus.Collector{k.jumps, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "receiver_clock_skew_seconds", Help: "Time by which the clock of this machine is ahead of that of the database.",
	}, func() float64 { return k.db.Skew().Seconds() })}
}
