package httpserver

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics count requests. All labels come from fixed sets: route patterns, standard methods, our statuses.
type metrics struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	malformed *prometheus.CounterVec
	closed    *prometheus.CounterVec
	problems  *prometheus.CounterVec
	callbacks *prometheus.CounterVec // nil for the admin listener
}

// publicListener is the label of the public listener.
const publicListener = "public"

func newMetrics(listener string) *metrics {
	labels := prometheus.Labels{"listener": listener}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "receiver_http_requests_total", Help: "Requests served.", ConstLabels: labels,
		}, []string{"route", "method", "status"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "receiver_http_request_duration_seconds", Help: "Time from the header section of the request to the end of the response.",
			ConstLabels: labels,
			Buckets:     []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30},
		}, []string{"route"}),
		malformed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "receiver_http_malformed_requests_total", Help: "Requests refused before they reached a route, such as TLS on a plain port.",
			ConstLabels: labels,
		}, []string{"reason"}),
		closed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "receiver_http_connections_closed_total", Help: "Connections closed because of the limit of connections.", ConstLabels: labels,
		}, []string{"reason"}),
		problems: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "receiver_http_problems_total", Help: "Requests that were refused or failed, by the code of the problem in the response.",
			ConstLabels: labels,
		}, []string{"code"}),
	}
	if listener == publicListener {
		m.presetCallbacks()
	}
	return m
}

// Results of callbacks that were accepted.
const (
	resultAccepted  = "accepted"
	resultDuplicate = "duplicate"
)

// presetCallbacks creates the series of callbacks, so that the first one of each shows as an increase.
func (m *metrics) presetCallbacks() {
	m.callbacks = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "receiver_callbacks_total", Help: "Callbacks that were acknowledged: accepted events, and duplicates of earlier ones.",
	}, []string{"result"})
	for _, result := range []string{resultAccepted, resultDuplicate} {
		m.callbacks.WithLabelValues(result)
	}
	for _, code := range []problem.Code{
		problem.CodeMalformed, problem.CodeInvalid, problem.CodeUnsupportedCoding, problem.CodeUnauthorized, problem.CodeForbidden,
		problem.CodeTooLarge, problem.CodeIncomplete, problem.CodeUnavailable, problem.CodeUnverified,
	} {
		m.problems.WithLabelValues(string(code))
	}
}

// count records a served request.
func (m *metrics) count(l *requestLog, r *http.Request, pattern string) {
	pattern = cmp.Or(pattern, "none")
	m.requests.WithLabelValues(pattern, methodName(r.Method), strconv.Itoa(l.response.status)).Inc()
	m.durations.WithLabelValues(pattern).Observe(time.Since(l.started).Seconds())
	switch {
	case l.info.Problem != "":
		m.problems.WithLabelValues(string(l.info.Problem)).Inc()
	case l.info.Receipt.ID == "" || m.callbacks == nil:
	case l.info.Receipt.Duplicate:
		m.callbacks.WithLabelValues(resultDuplicate).Inc()
	default:
		m.callbacks.WithLabelValues(resultAccepted).Inc()
	}
}

// Collectors returns the metrics of the listener.
func (s *Server) Collectors() []prometheus.Collector {
	all := []prometheus.Collector{s.metrics.requests, s.metrics.durations, s.metrics.malformed, s.metrics.closed, s.metrics.problems}
	if s.metrics.callbacks != nil {
		all = append(all, s.metrics.callbacks, newReadinessMetrics(s))
	}
	return all
}

// readinessMetrics show what /readyz answers. A scrape runs the checks if their results are not cached.
type readinessMetrics struct {
	server       *Server
	ready, check *prometheus.Desc
}

func newReadinessMetrics(s *Server) *readinessMetrics {
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &readinessMetrics{
		server: s,
		ready:  describe("receiver_ready", "1 if callbacks are accepted, as /readyz reports, else 0."),
		check:  describe("receiver_readiness_check", "1 if a check of /readyz passed, else 0; callbacks are accepted without images.", "check"),
	}
}

// Describe lists the metrics.
func (m *readinessMetrics) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- m.ready
	descriptions <- m.check
}

// Collect sends the metrics. If the checks time out, that of each check is absent.
func (m *readinessMetrics) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	failed, warned, err := m.server.readiness.failures(ctx)
	send := func(d *prometheus.Desc, passed bool, labels ...string) {
		value := 0.0
		if passed {
			value = 1
		}
		metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	send(m.ready, err == nil && len(failed) == 0 && !m.server.draining.Load())
	if err != nil {
		return
	}
	names := make(map[string]bool)
	for _, check := range m.server.readiness.checks {
		names[check.Name] = true // several folders share one name
	}
	for name := range names {
		send(m.check, !slices.Contains(failed, name) && !slices.Contains(warned, name), name)
	}
}
