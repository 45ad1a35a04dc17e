package httpserver

import (
	"cmp"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count requests. All labels come from fixed sets: route patterns, standard methods, our statuses.
type metrics struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	malformed *prometheus.CounterVec
	closed    *prometheus.CounterVec
}

func newMetrics(listener string) *metrics {
	labels := prometheus.Labels{"listener": listener}
	return &metrics{
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
	}
}

// count records a served request.
func (m *metrics) count(r *http.Request, pattern string, status int, took time.Duration) {
	pattern = cmp.Or(pattern, "none")
	m.requests.WithLabelValues(pattern, methodName(r.Method), strconv.Itoa(status)).Inc()
	m.durations.WithLabelValues(pattern).Observe(took.Seconds())
}

// Collectors returns the metrics of the listener.
func (s *Server) Collectors() []prometheus.Collector {
	return []prometheus.Collector{s.metrics.requests, s.metrics.durations, s.metrics.malformed, s.metrics.closed}
}
