package httpserver

import (
	"cmp"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count requests. Every label comes from a fixed set: patterns of routes, methods of the standard, statuses that we give.
type metrics struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
}

func newMetrics(listener string) *metrics {
	labels := prometheus.Labels{"listener": listener}
	return &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "receiver_http_requests_total", Help: "Requests that were answered.", ConstLabels: labels,
		}, []string{"route", "method", "status"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "receiver_http_request_duration_seconds", Help: "Time from the header section to the end of the answer.", ConstLabels: labels,
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30},
		}, []string{"route"}),
	}
}

// count counts a request that was answered.
func (m *metrics) count(r *http.Request, pattern string, status int, took time.Duration) {
	pattern = cmp.Or(pattern, "none")
	m.requests.WithLabelValues(pattern, methodName(r.Method), strconv.Itoa(status)).Inc()
	m.durations.WithLabelValues(pattern).Observe(took.Seconds())
}

// Collectors are what the listener counts, to be registered.
func (s *Server) Collectors() []prometheus.Collector {
	return []prometheus.Collector{s.metrics.requests, s.metrics.durations}
}
