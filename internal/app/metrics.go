package app

import (
	"net/http"
	"time"

	"github.com/deepimage-receiver/receiver/internal/memory"
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
	all := []prometheus.Collector{buildInfo(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})}
	all = append(all, a.server.Collectors()...)
	all = append(all, a.inbox.Collectors()...)
	all = append(all, a.fetch.Collectors()...)
	all = append(all, a.memoryGauges()...)
	all = append(all, a.commitGauges()...)
	all = append(all, a.circuitGauges()...)
	all = append(all, a.executor.Collectors()...)
	all = append(all, a.submitter.Collectors()...)
	all = append(all, a.clock.Collectors()...)
	all = append(all, a.retention.Collectors()...)
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
	return registry, registerAll(registry, all)
}

func registerAll(registry *prometheus.Registry, all []prometheus.Collector) error {
	for _, collector := range all {
		if err := registry.Register(collector); err != nil {
			return err
		}
	}
	return nil
}

func buildInfo() prometheus.Collector {
	build := telemetry.CurrentBuild()
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "receiver_build_info", Help: "1, with the version, the commit and the version of Go as labels.",
	}, []string{"version", "commit", "go"})
	info.WithLabelValues(build.Version, build.Commit, build.Go).Set(1)
	return info
}

// memoryGauges show the bodies in memory.
func (a *App) memoryGauges() (all []prometheus.Collector) {
	for name, part := range map[string]*memory.Part{"small": a.memory.Small, "large": a.memory.Large, "work": a.memory.Work} {
		labels := prometheus.Labels{"part": name}
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "receiver_in_flight_bytes", Help: "Memory that bodies have, by the part of the budget.", ConstLabels: labels,
		}, func() float64 {
			used, _ := part.Used()
			return float64(used)
		}), prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "receiver_in_flight_limit_bytes", Help: "Memory that bodies may have, by the part of the budget.", ConstLabels: labels,
		}, func() float64 {
			_, total := part.Used()
			return float64(total)
		}))
	}
	return all
}

// commitGauges show when the stores were last written.
func (a *App) commitGauges() (all []prometheus.Collector) {
	for store, last := range map[string]func() time.Time{"inbox": a.inbox.LastCommit, "work": a.work.writer.LastCommit} {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "receiver_store_last_commit_timestamp_seconds", ConstLabels: prometheus.Labels{"store": store},
			Help: "When this process last committed and synced a transaction, in seconds since 1970; 0 if it did not yet.",
		}, func() float64 {
			if at := last(); !at.IsZero() {
				return float64(at.UnixMilli()) / 1000
			}
			return 0
		}))
	}
	return all
}

// circuitGauges show what is not called for a while because it fails.
func (a *App) circuitGauges() (all []prometheus.Collector) {
	for step, isOpen := range a.circuits {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "receiver_circuit_open", ConstLabels: prometheus.Labels{"handler": step},
			Help: "1 while the circuit breaker of a target defers its steps, but for probes; else 0.",
		}, func() float64 { return asNumber(isOpen()) }))
	}
	if a.vendor == nil {
		return all
	}
	for call := range a.vendor.Paused() {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "receiver_api_paused", ConstLabels: prometheus.Labels{"call": call},
			Help: "1 while calls of the Deep Image API pause after failures, else 0.",
		}, func() float64 { return asNumber(a.vendor.Paused()[call]) }))
	}
	return all
}

func asNumber(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
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
