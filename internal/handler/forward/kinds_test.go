package forward_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/rs/zerolog"
)

// ending is what follows an attempt; the zero value is success.
type ending struct {
	action   event.Action
	cause    event.Cause
	reason   event.Reason
	min, max time.Duration // of the delay
}

// The endings of most kinds.
func refused(reason event.Reason) ending { return ending{action: event.ActionFail, reason: reason} }

func retried(reason event.Reason) ending { return ending{action: event.ActionRetry, reason: reason} }

func waiting(reason event.Reason) ending {
	return ending{action: event.ActionDefer, cause: event.CauseOutage, reason: reason}
}

// retriedAfter is retried with a delay.
func retriedAfter(reason event.Reason, least, most time.Duration) ending {
	return ending{action: event.ActionRetry, reason: reason, min: least, max: most}
}

func (e ending) check(t *testing.T, err error) {
	t.Helper()
	got := handler.Classify(err)
	if got == nil {
		got = &handler.Error{}
	}
	if got.Action != e.action || got.Cause != e.cause || got.Reason != e.reason {
		t.Errorf("error = %v: action %q, cause %q, reason %q, want %q, %q, %q", err, got.Action, got.Cause, got.Reason, e.action, e.cause, e.reason)
	}
	if got.Delay < e.min || got.Delay > e.max {
		t.Errorf("delay = %s, want %s to %s", got.Delay, e.min, e.max)
	}
}

// says answers with a status, a header and a text.
func says(status int, name, value, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set(name, value)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
}

// raw reads a request, writes these bytes and closes the connection.
func raw(answer string) func(net.Conn) {
	return func(connection net.Conn) {
		request, err := http.ReadRequest(bufio.NewReader(connection))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, request.Body)
		_, _ = io.WriteString(connection, answer)
	}
}

// reset closes a connection so that the client sees a reset.
func reset(connection net.Conn) {
	_, _ = connection.Read(make([]byte, 1))
	_ = connection.(*net.TCPConn).SetLinger(0)
}

// script is a target that serves connections by hand, or HTTP.
func script(t *testing.T, row kind) (address string, calls *atomic.Int64) {
	t.Helper()
	calls = &atomic.Int64{}
	if row.raw == nil {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			row.respond(w, r)
		}))
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		t.Cleanup(server.Close)
		if row.tls == nil {
			server.Start()
			return server.URL, calls
		}
		server.TLS = row.tls
		server.StartTLS()
		return server.URL, calls
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			calls.Add(1)
			go func() {
				defer func() { _ = connection.Close() }()
				_ = connection.SetDeadline(time.Now().Add(timeout))
				row.raw(connection)
			}()
		}
	}()
	return "http://" + listener.Addr().String(), calls
}

// kind is a kind of target, and how an event ends at it.
type kind struct {
	name    string
	respond http.HandlerFunc // serves HTTP
	raw     func(net.Conn)   // serves connections instead
	tls     *tls.Config
	trusts  bool // the handler trusts the certificate
	want    ending
	closed  bool // the circuit stays closed: the target works, or refuses events
	stalls  bool // the timeout of the handler is short
}

const header200 = "HTTP/1.1 200 OK\r\n"

// kinds is the script of forward targets.
func kinds() []kind {
	hour := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	past := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
	return []kind{
		{name: "answers 200", respond: says(200, "X", "", "fine"), closed: true},
		{name: "answers 204", respond: says(204, "X", "", ""), closed: true},
		{name: "is slow", closed: true, respond: func(http.ResponseWriter, *http.Request) { <-time.After(50 * time.Millisecond) }},
		{name: "hangs", stalls: true, respond: func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, want: retried(event.ReasonTimeout)},
		{name: "hangs in its header", stalls: true, raw: func(c net.Conn) {
			raw("HTTP/1.1 200 OK\r\nX: ")(c)
			_, _ = c.Read(make([]byte, 1)) // until the client closes the connection
		}, want: retried(event.ReasonTimeout)},
		{name: "resets the connection", raw: reset, want: retried(event.ReasonOther)},
		{name: "closes the connection without an answer", raw: raw(""), want: retried(event.ReasonOther)},
		{name: "does not speak HTTP", raw: raw("SSH-2.0-OpenSSH_9.6\r\n"), want: retried(event.ReasonOther)},
		{name: "E1 redirects with 301", respond: says(301, "Location", "https://new.example/hook", ""), want: waiting(event.ReasonOther)},
		{name: "E1 redirects with 302 to a login", respond: says(302, "Location", "/login", ""), want: waiting(event.ReasonOther)},
		{name: "E1 redirects with 307", respond: says(307, "Location", "https://new.example/hook", ""), want: waiting(event.ReasonOther)},
		{name: "redirects without a location", respond: says(308, "X", "", ""), want: waiting(event.ReasonOther)},
		{name: "refuses the event with 400", respond: says(400, "X", "", "no"), want: refused(event.ReasonOther), closed: true},
		{name: "refuses the event with 409", respond: says(409, "X", "", "no"), want: refused(event.ReasonOther), closed: true},
		{name: "refuses the event with 413", respond: says(413, "X", "", "no"), want: refused(event.ReasonTooLarge), closed: true},
		{name: "refuses the event with 415", respond: says(415, "X", "", "no"), want: refused(event.ReasonOther), closed: true},
		{name: "refuses the event with 422", respond: says(422, "X", "", "no"), want: refused(event.ReasonOther), closed: true},
		{name: "E1 answers 401", respond: says(401, "X", "", ""), want: waiting(event.ReasonAuth)},
		{name: "E1 answers 402", respond: says(402, "X", "", ""), want: waiting(event.ReasonOther)},
		{name: "E1 answers 403", respond: says(403, "X", "", ""), want: waiting(event.ReasonAuth)},
		{name: "E1 answers 404", respond: says(404, "X", "", `{"message":"webhook is not registered"}`), want: waiting(event.ReasonOther)},
		{name: "E1 answers 405", respond: says(405, "X", "", ""), want: waiting(event.ReasonOther)},
		{name: "E1 answers 407", respond: says(407, "X", "", ""), want: waiting(event.ReasonAuth)},
		{name: "answers 408", respond: says(408, "Retry-After", "7", ""), want: retriedAfter(event.ReasonTimeout, 7*time.Second, 7*time.Second)},
		{name: "answers 425", respond: says(425, "X", "", ""), want: retried(event.ReasonRateLimited)},
		{name: "answers 429 with seconds", respond: says(429, "Retry-After", "17", ""), want: retriedAfter(event.ReasonRateLimited, 17*time.Second, 17*time.Second)},
		{name: "answers 429 with a date", respond: says(429, "Retry-After", hour, ""), want: retriedAfter(event.ReasonRateLimited, 50*time.Minute, time.Hour)},
		{name: "answers 429 with a date of the past", respond: says(429, "Retry-After", past, ""), want: retried(event.ReasonRateLimited)},
		{name: "answers 429 with a century", respond: says(429, "Retry-After", "99999999999999999999", ""), want: retriedAfter(event.ReasonRateLimited, 24*time.Hour, 24*time.Hour)},
		{name: "answers 429 with a negative time", respond: says(429, "Retry-After", "-5", ""), want: retried(event.ReasonRateLimited)},
		{name: "answers 429 with nonsense", respond: says(429, "Retry-After", "1.5 minutes", ""), want: retried(event.ReasonRateLimited)},
		{name: "E2 answers 410", respond: says(410, "X", "", ""), want: ending{action: event.ActionDisable, reason: event.ReasonOther}, closed: true},
		{name: "answers 500", respond: says(500, "X", "", ""), want: retried(event.ReasonServerError)},
		{name: "answers 503 with seconds", respond: says(503, "Retry-After", "120", ""), want: retriedAfter(event.ReasonServerError, 2*time.Minute, 2*time.Minute)},
		{name: "answers 599", respond: says(599, "X", "", ""), want: retried(event.ReasonServerError)},
		{name: "answers 999", raw: raw("HTTP/1.1 999 Denied\r\nContent-Length: 0\r\n\r\n"), want: retried(event.ReasonServerError)},
		{name: "answers 101", raw: raw("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), want: retried(event.ReasonOther)},
		{name: "answers 102 and 103 before 200", raw: raw("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" + header200 + "Content-Length: 0\r\n\r\n"), closed: true},
		{name: "answers 102 without end", raw: raw(strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 10_000)), want: retried(event.ReasonOther)},
		{name: "has a huge body", respond: func(w http.ResponseWriter, _ *http.Request) {
			for range 1 << 14 { // 64 MiB, if they were read
				if _, err := w.Write(make([]byte, 4<<10)); err != nil {
					return
				}
			}
		}, closed: true},
		{name: "has a body without end", closed: true, stalls: true, respond: func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "and then")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}},
		{name: "has a huge header", raw: raw(header200 + "X: " + strings.Repeat("x", 1<<20) + "\r\n\r\n"), want: retried(event.ReasonOther)},
		{name: "announces more bytes than it sends", raw: raw(header200 + "Content-Length: 1000\r\n\r\nshort"), closed: true},
		{name: "announces fewer bytes than it sends", raw: raw(header200 + "Content-Length: 2\r\n\r\nlong"), closed: true},
		{name: "announces two lengths", raw: raw(header200 + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc"), want: retried(event.ReasonOther)},
		{name: "announces a negative length", raw: raw(header200 + "Content-Length: -2\r\n\r\nabc"), want: retried(event.ReasonOther)},
		{name: "breaks off its chunks", raw: raw(header200 + "Transfer-Encoding: chunked\r\n\r\nff\r\nabc"), closed: true},
		{name: "says that its text is gzip", respond: says(200, "Content-Encoding", "gzip", "it is not"), closed: true},
		{name: "answers before it reads the body", closed: true, raw: func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1))
			_, _ = io.WriteString(c, header200+"Connection: close\r\nContent-Length: 0\r\n\r\n")
			_, _ = io.Copy(io.Discard, c)
		}},
		{name: "closes after each answer", respond: says(200, "Connection", "close", "fine"), closed: true},
		{name: "closes after each answer without a word", raw: raw(header200 + "Content-Length: 4\r\n\r\nfine"), closed: true},
		{name: "has an unknown certificate", respond: always(200, ""), tls: &tls.Config{}, want: retried(event.ReasonUnreachable)},
		{name: "demands a client certificate", respond: always(200, ""), tls: &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}, trusts: true, want: retried(event.ReasonUnreachable)},
		{name: "speaks an old TLS", respond: always(200, ""), tls: &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, trusts: true, want: retried(event.ReasonUnreachable)},
		{name: "speaks TLS with a known certificate", respond: always(200, ""), tls: &tls.Config{}, trusts: true, closed: true},
	}
}

// Every kind of target: what its answer means for the event, and whether it opens the circuit, so that others wait.
func TestKindsOfTargets(t *testing.T) {
	t.Parallel()
	const failures = 3
	fx := newFixture(t, zerolog.Nop())
	e, _ := fx.event(t, fakevendortest.JobOptions{})
	for _, row := range kinds() {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			address, calls := script(t, row)
			if row.tls != nil && row.raw == nil {
				address = strings.Replace(address, "http://", "https://", 1)
			}
			config := to(address)
			config.CircuitFailures, config.CircuitPause = failures, time.Hour
			if row.stalls {
				config.Timeout = 500 * time.Millisecond
			}
			h := fx.open(t, config)
			if row.trusts {
				h.Trust(authorities())
			}
			for range failures {
				_, err := h.Handle(t.Context(), e)
				row.want.check(t, err)
			}
			before := calls.Load()
			_, err := h.Handle(t.Context(), e)
			if row.closed {
				row.want.check(t, err)
				return
			}
			ending{action: event.ActionDefer, reason: row.want.reason, min: 10 * time.Minute, max: 2 * time.Hour}.check(t, err)
			if got := calls.Load(); got != before {
				t.Errorf("calls with an open circuit = %d, want %d", got, before)
			}
		})
	}
}

// authorities are those of the servers of httptest.
func authorities() *x509.CertPool {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return pool
}

// E1: a target that worked and then answers 404, 401, 403 or a redirect keeps its events, whatever the number of probes. It
// gets them as soon as it works again.
func TestTargetThatWorkedBefore(t *testing.T) {
	t.Parallel()
	const failures, probes = 3, 40
	for _, status := range []int{401, 402, 403, 404, 405, 302, 500, 429} {
		t.Run(fmt.Sprint("E1 a target that worked answers ", status), func(t *testing.T) {
			t.Parallel()
			fx := newFixture(t, zerolog.Nop())
			var current atomic.Int64
			current.Store(200)
			target := newTarget(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(current.Load())) })
			config := to(target.URL)
			config.CircuitFailures, config.CircuitPause = failures, time.Millisecond
			h := fx.open(t, config)
			e, _ := fx.event(t, fakevendortest.JobOptions{})
			_, err := h.Handle(t.Context(), e)
			must(t, err)
			current.Store(int64(status))
			counted := 0
			for range failures + probes {
				_, err := h.Handle(t.Context(), e)
				switch got := handler.Classify(err); {
				case got == nil || got.Action != event.ActionDefer && got.Action != event.ActionRetry:
					t.Fatalf("error = %v, want one that defers or retries", err)
				case got.Action == event.ActionRetry:
					counted++
				}
				<-time.After(2 * time.Millisecond)
			}
			want := 0
			if status >= 429 {
				want = failures // until the circuit opens
			}
			if counted != want {
				t.Errorf("attempts that count = %d, want %d", counted, want)
			}
			if got := len(target.got()); got < failures+2 {
				t.Errorf("calls = %d, want at least %d, probes among them", got, failures+2)
			}
			current.Store(204)
			<-time.After(2 * time.Millisecond)
			if _, err := h.Handle(t.Context(), e); err != nil {
				t.Errorf("error after the target works again = %v, want none", err)
			}
		})
	}
}

// A target that asks for a later probe gets none before. What it asks for is bounded.
func TestCircuitKeepsRetryAfter(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, zerolog.Nop())
	target := newTarget(t, says(429, "Retry-After", "99999999", ""))
	config := to(target.URL)
	config.CircuitFailures, config.CircuitPause = 1, time.Millisecond
	h := fx.open(t, config)
	e, _ := fx.event(t, fakevendortest.JobOptions{})
	_, err := h.Handle(t.Context(), e)
	retriedAfter(event.ReasonRateLimited, 24*time.Hour, 24*time.Hour).check(t, err)
	for range 3 {
		<-time.After(2 * time.Millisecond)
		_, err = h.Handle(t.Context(), e)
		ending{action: event.ActionDefer, reason: event.ReasonRateLimited, min: 4 * time.Minute, max: 6 * time.Minute}.check(t, err)
	}
	if got := len(target.got()); got != 1 {
		t.Errorf("calls = %d, want 1", got)
	}
}
