package admin

import (
	"context"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
)

// collectTimeout bounds the counting for a scrape, below the ten seconds of Prometheus.
const collectTimeout = 4 * time.Second

// Collector returns the metrics of the stores.
func (a *Admin) Collector() prometheus.Collector { return newStoreMetrics(a.stats.get) }

// storeMetrics counts when they are scraped. If the stores do not respond in time, receiver_store_up is 0 and the others are absent.
type storeMetrics struct {
	stats func(context.Context) (Stats, error)

	up, events, steps, failures, deferred, unattended, enabled, backlog, oldest, rejected, free, minimum *prometheus.Desc
}

func newStoreMetrics(stats func(context.Context) (Stats, error)) *storeMetrics {
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &storeMetrics{
		stats:      stats,
		up:         describe("receiver_store_up", "1 if the stores responded in time."),
		events:     describe("receiver_events", "Events by state.", "state"),
		steps:      describe("receiver_steps", "Unfinished steps by state.", "handler", "state"),
		failures:   describe("receiver_step_failures", "Steps that are dead or retrying, by reason.", "handler", "reason"),
		deferred:   describe("receiver_steps_deferred", "Steps that are deferred until their target is retried or enabled.", "handler"),
		unattended: describe("receiver_steps_unattended", "Steps that wait for handlers that are not configured."),
		enabled:    describe("receiver_target_enabled", "1 if the target is enabled, 0 if it is disabled.", "handler"),
		backlog:    describe("receiver_backlog", "Accepted events that are not in the workflow yet."),
		oldest:     describe("receiver_oldest_pending_seconds", "Age of the oldest event with a pending, running or retrying step; 0 if there is none."),
		rejected:   describe("receiver_rejected_total", "Rejected callbacks with a valid token."),
		free:       describe("receiver_disk_free_bytes", "Free space of the disk of a folder.", "folder"),
		minimum:    describe("receiver_disk_minimum_free_bytes", "Free space below which callbacks are refused.", "folder"),
	}
}

// Describe lists the metrics.
func (m *storeMetrics) Describe(descriptions chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		m.up, m.events, m.steps, m.failures, m.deferred, m.unattended, m.enabled, m.backlog, m.oldest, m.rejected, m.free, m.minimum,
	} {
		descriptions <- d
	}
}

// Collect sends the metrics.
func (m *storeMetrics) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
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
	for _, state := range statuses() {
		gauge(m.events, float64(stats.Events[state]), string(state))
	}
	unattended := 0
	for _, h := range stats.Handlers {
		unattended += h.Unattended
		if h.Configured { // former handlers would be an unbounded set of labels
			m.collectHandler(gauge, h)
		}
	}
	gauge(m.unattended, float64(unattended))
	gauge(m.backlog, float64(stats.Backlog))
	gauge(m.oldest, stats.Age)
	metrics <- prometheus.MustNewConstMetric(m.rejected, prometheus.CounterValue, float64(stats.Rejected.Ever))
	for _, disk := range stats.Disks {
		gauge(m.free, float64(disk.Free), disk.Path)
		gauge(m.minimum, float64(disk.Minimum), disk.Path)
	}
}

func (m *storeMetrics) collectHandler(gauge func(*prometheus.Desc, float64, ...string), h HandlerStats) {
	for state, n := range map[string]int{"pending": h.Pending, "running": h.Running, "retrying": h.Retrying, "dead": h.Dead} {
		gauge(m.steps, float64(n), h.Name, state)
	}
	for reason, n := range h.Reasons {
		gauge(m.failures, float64(n), h.Name, string(reason))
	}
	gauge(m.deferred, float64(h.Deferred), h.Name)
	isEnabled := 0.0
	if h.Enabled {
		isEnabled = 1
	}
	gauge(m.enabled, isEnabled, h.Name)
}

// maxProfileSeconds bounds what one request may record.
const maxProfileSeconds = 60

// isProfileDuration reports whether the duration that a request wants to record is valid. Without one it is.
func isProfileDuration(r *http.Request) bool {
	for _, text := range r.URL.Query()["seconds"] {
		seconds, err := strconv.ParseFloat(text, 64)
		inRange := seconds >= 0 && seconds <= maxProfileSeconds // not for NaN
		if text != "" && (err != nil || !inRange) {
			return false
		}
	}
	return true
}

// showMetrics answers GET /metrics.
func (a *Admin) showMetrics(w http.ResponseWriter, r *http.Request) { a.deps.Metrics.ServeHTTP(w, r) }

// showProfile answers GET /debug/pprof/{name}, and the list of profiles without a name.
func (a *Admin) showProfile(w http.ResponseWriter, r *http.Request) {
	if !isProfileDuration(r) {
		detail := "seconds must be a number from 0 to " + strconv.Itoa(maxProfileSeconds) + "."
		problem.Write(w, r, &problem.Error{Code: problem.CodeBadRequest, Detail: detail})
		return
	}
	switch name := chi.URLParam(r, "name"); name {
	case "":
		pprof.Index(w, r)
	case "cmdline":
		pprof.Cmdline(w, r)
	case "profile":
		pprof.Profile(w, r)
	case "symbol":
		pprof.Symbol(w, r)
	case "trace":
		pprof.Trace(w, r)
	default:
		pprof.Handler(name).ServeHTTP(w, r)
	}
}
