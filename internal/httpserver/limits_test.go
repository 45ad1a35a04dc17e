package httpserver_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deepimage-receiver/receiver/internal/httpserver"
	"github.com/prometheus/client_golang/prometheus"
)

// status sends a request and returns the status of its response; 0 if the connection was closed.
func status(connection net.Conn, method, path string) int {
	_, _ = fmt.Fprintf(connection, "%s %s HTTP/1.1\r\nHost: receiver\r\nContent-Length: 0\r\n\r\n", method, path)
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// TestConnectionsGiveWay has the limit of connections taken by clients behind a proxy. A new connection gets an answer.
func TestConnectionsGiveWay(t *testing.T) {
	t.Parallel()
	const start0 = "POST /webhooks/deep-image HTTP/1.1\r\nHost: receiver\r\n"
	rows := []struct {
		name, sent, reason string
		webhook            int // status of a callback on the new connection
	}{
		{name: "D2 no byte", sent: "", reason: "idle", webhook: 200},
		{name: "D2 slow header sections", sent: start0, reason: "idle", webhook: 200},
		{name: "D2 slow bodies", sent: start0 + "Content-Length: 1000\r\n\r\n{", reason: "slow", webhook: 200},
		{name: "D2 requests in progress", sent: start0 + "X: wait\r\nContent-Length: 0\r\n\r\n", reason: "limit", webhook: 503},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := config()
			c.MaxConnections, c.TrustedProxies = 8, networks(t, "127.0.0.0/8") // exempt from the share of an address
			leave := make(chan struct{})
			server := start(t, c, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X") != "" {
					<-leave
				}
				accept(w, r)
			}))
			defer close(leave)
			for range c.MaxConnections {
				_, _ = io.WriteString(server.dial(t), row.sent)
			}
			// The server reads what was sent a moment later, and a body may take a second before it is slow.
			again := time.NewTicker(50 * time.Millisecond)
			defer again.Stop()
			for began := time.Now(); ; <-again.C {
				_, _ = io.WriteString(server.dial(t), row.sent)
				first := server.dial(t)
				live := status(first, "GET", "/livez")
				_ = first.Close()
				second := server.dial(t)
				webhook := status(second, "POST", "/webhooks/deep-image")
				_ = second.Close()
				if live == http.StatusOK && webhook == row.webhook && closed(t, server, row.reason) > 0 {
					return
				}
				if time.Since(began) > waitLimit {
					t.Fatalf("status of /livez and of a callback = %d, %d, closed for %s = %v, want 200, %d, some",
						live, webhook, row.reason, closed(t, server, row.reason), row.webhook)
				}
			}
		})
	}
}

// closed returns how many connections were closed for a reason.
func closed(t *testing.T, server *running, reason string) (n float64) {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(server.Collectors()...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if family.GetName() == "receiver_http_connections_closed_total" && label.GetName() == "reason" && label.GetValue() == reason {
					n += metric.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}

// gauge returns a gauge with this value of its check label, -1 if there is none.
func gauge(t *testing.T, server *running, name, check string) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(server.Collectors()...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			found := ""
			for _, label := range metric.GetLabel() {
				if label.GetName() == "check" {
					found = label.GetValue()
				}
			}
			if family.GetName() == name && found == check {
				return metric.GetGauge().GetValue()
			}
		}
	}
	return -1
}

// TestShareOfAnAddress has all connections of one address that is no proxy.
func TestShareOfAnAddress(t *testing.T) {
	t.Parallel()
	c := config()
	c.MaxConnections = 8 // of which an address gets 6
	entered, leave := make(chan struct{}), make(chan struct{})
	server := start(t, c, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-leave
		accept(w, r)
	}))
	defer close(leave)
	for range 6 {
		_, _ = io.WriteString(server.dial(t), "POST /webhooks/deep-image HTTP/1.1\r\nHost: receiver\r\nContent-Length: 0\r\n\r\n")
		<-entered
	}
	if got := status(server.dial(t), "GET", "/livez"); got != 0 {
		t.Errorf("D2 status on a connection beyond the share = %d, want it closed", got)
	}
	other := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	connection, err := other.DialContext(t.Context(), "tcp", server.address)
	if err != nil {
		t.Skipf("this machine has no second loopback address: %v", err)
	}
	defer func() { _ = connection.Close() }()
	if got := status(connection, "GET", "/livez"); got != http.StatusOK {
		t.Errorf("D2 status on a connection of another address = %d, want 200", got)
	}
}

// TestShareOfAClient has all connections of one client behind a proxy. Others behind the same proxy still get answers.
func TestShareOfAClient(t *testing.T) {
	t.Parallel()
	const greedy, other = "X-Forwarded-For: 192.0.2.1\r\n", "X-Forwarded-For: 192.0.2.2\r\n"
	rows := []struct {
		name, sent string
		own        int // status of one more request of the client
	}{
		{name: "D2 behind a proxy, requests in progress", sent: "X: wait\r\nContent-Length: 0\r\n\r\n", own: 503},
		{name: "D2 behind a proxy, slow bodies", sent: "Content-Length: 1000\r\n\r\n{", own: 200},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := config()
			c.MaxConnections, c.TrustedProxies = 8, networks(t, "127.0.0.0/8") // a client gets 6
			entered, leave := make(chan struct{}, 100), make(chan struct{})
			server := start(t, c, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				entered <- struct{}{}
				if r.Header.Get("X") != "" {
					<-leave
				}
				_, _ = io.Copy(io.Discard, r.Body)
				accept(w, r)
			}))
			defer close(leave)
			post := func(headers string) net.Conn {
				connection := server.dial(t)
				_, _ = io.WriteString(connection, "POST /webhooks/deep-image HTTP/1.1\r\nHost: receiver\r\n"+headers)
				return connection
			}
			answer := func(headers string) int {
				connection := post(headers + "Content-Length: 0\r\n\r\n")
				defer func() { _ = connection.Close() }()
				response, err := http.ReadResponse(bufio.NewReader(connection), nil)
				if err != nil {
					return 0
				}
				_ = response.Body.Close()
				return response.StatusCode
			}
			for range 6 {
				post(greedy + row.sent)
				<-entered
			}
			began := time.Now()
			for got := answer(greedy); got != row.own; got = answer(greedy) { // a body may take a second before it is slow
				if time.Since(began) > waitLimit {
					t.Fatalf("status of one more request of the client = %d, want %d", got, row.own)
				}
				<-time.After(50 * time.Millisecond) // the test keeps a bounded number of log lines
			}
			for range 4 {
				if got := answer(other); got != http.StatusOK {
					t.Errorf("status of a request of another client = %d, want 200", got)
				}
			}
			if got := closed(t, server, "share"); got == 0 {
				t.Error("connections closed for the share = 0, want some")
			}
		})
	}
}

func TestThroughputOfBodies(t *testing.T) {
	t.Parallel()
	const timeout, large = time.Minute, 30 << 20
	for _, row := range []struct {
		name          string
		length, bytes int64
		elapsed, want time.Duration
	}{
		{name: "D3 nothing came", length: large, want: 10 * time.Second},
		{name: "D3 little came", length: large, bytes: 60 << 10, elapsed: 9 * time.Second, want: 10*time.Second + 117*time.Millisecond},
		{name: "D3 stalls after a third", length: large, bytes: large / 3, elapsed: 2 * time.Second, want: 12 * time.Second},
		{name: "D3 in time", length: large, bytes: large / 2, elapsed: 25 * time.Second, want: 35 * time.Second},
		{name: "D3 too slow", length: large, bytes: large / 6, elapsed: 19 * time.Second, want: 20 * time.Second},
		{name: "D3 small body", length: 400, bytes: 1, elapsed: 9 * time.Second, want: 10 * time.Second},
		{name: "D3 unknown length", length: -1, bytes: 40 << 10, elapsed: 15 * time.Second, want: 20 * time.Second},
		{name: "D3 deadline of the request", length: large, bytes: large - 1, elapsed: 58 * time.Second, want: timeout},
	} {
		if got := httpserver.ReadDeadline(row.length, row.bytes, row.elapsed, timeout).Round(time.Millisecond); got != row.want {
			t.Errorf("%s: deadline = %s, want %s", row.name, got, row.want)
		}
	}
}

// deadlines records how long each read may take.
type deadlines struct {
	http.ResponseWriter
	left []time.Duration
}

func (d *deadlines) SetReadDeadline(deadline time.Time) error {
	d.left = append(d.left, time.Until(deadline))
	return nil
}

// TestReadAfterAPause has a handler that waits for long before it reads the body. The client is not to blame for that.
func TestReadAfterAPause(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name  string
		pause time.Duration
		own   time.Duration // deadline that the handler sets after the pause; 0 for none
		want  time.Duration // for the first read
	}{
		{name: "D3 no pause", want: 10 * time.Second},
		{name: "D3 a pause", pause: 25 * time.Second, want: 10 * time.Second},
		{name: "D3 a pause until shortly before the deadline of the request", pause: 55 * time.Second, want: 5 * time.Second},
		{name: "D3 a pause and a deadline of the handler", pause: 70 * time.Second, own: 2 * time.Minute, want: 10 * time.Second},
		{name: "D3 a short deadline of the handler", own: time.Second, want: time.Second},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := config()
				c.ReadTimeout, c.WriteTimeout = time.Minute, 2*time.Minute
				server, err := httpserver.New(c, httpserver.Deps{Webhook: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					<-time.After(row.pause)
					if row.own > 0 {
						_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(row.own))
					}
					_, _ = io.Copy(io.Discard, r.Body)
					accept(w, r)
				})})
				if err != nil {
					t.Fatal(err)
				}
				writer := &deadlines{ResponseWriter: httptest.NewRecorder()}
				request := httptest.NewRequest(http.MethodPost, "/webhooks/deep-image", strings.NewReader("{}"))
				server.Router().ServeHTTP(writer, request)
				if row.own > 0 {
					writer.left = writer.left[1:]
				}
				if got := writer.left[0]; got != row.want {
					t.Errorf("time for the first read = %s, want %s", got, row.want)
				}
			})
		})
	}
}

func TestConnectionsWithinDescriptors(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name        string
		configured  int
		descriptors uint64
		want        int
	}{
		{name: "D8 enough", configured: 10_000, descriptors: 1 << 20, want: 10_000},
		{name: "D8 as many", configured: 10_000, descriptors: 10_000, want: 9_488},
		{name: "D8 usual soft limit", configured: 10_000, descriptors: 1024, want: 768},
		{name: "D8 few", configured: 10_000, descriptors: 100, want: 36},
		{name: "D8 fewer than the receiver needs", configured: 10_000, descriptors: 20, want: 16},
		{name: "D8 fewer are configured", configured: 100, descriptors: 1024, want: 100},
	} {
		if got := httpserver.ConnectionsWithin(row.configured, row.descriptors); got != row.want {
			t.Errorf("%s: connections = %d, want %d", row.name, got, row.want)
		}
	}
}
