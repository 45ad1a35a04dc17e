package httpserver_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/httpserver"
	"github.com/rs/zerolog"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	if _, err := httpserver.New(config(), httpserver.Deps{Log: zerolog.Nop()}); err == nil {
		t.Error("got no error without a handler, want one")
	}
	c := config()
	c.WriteTimeout = c.ReadTimeout
	if _, err := httpserver.New(c, httpserver.Deps{Log: zerolog.Nop(), Webhook: http.HandlerFunc(accept)}); err == nil {
		t.Error("got no error with a short WriteTimeout, want one")
	}
}

func TestStartFailsOnPortInUse(t *testing.T) {
	t.Parallel()
	first := start(t, config(), http.HandlerFunc(accept))
	c := config()
	c.ListenAddr = first.address
	second, err := httpserver.New(c, httpserver.Deps{Log: zerolog.Nop(), Webhook: http.HandlerFunc(accept)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Start(t.Context()); err == nil {
		t.Error("got no error for a port in use, want one")
	}
	if err := second.Shutdown(t.Context()); err != nil {
		t.Errorf("shutdown error of a server that never listened = %v, want none", err)
	}
}

// A draining server is not ready but accepts callbacks; one that stops refuses new ones and finishes old ones.
func TestDrain(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	server := start(t, config(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/webhooks/deep-image" {
			close(entered)
			<-leave
		}
		accept(w, r)
	}))
	old := make(chan int, 1)
	go func() {
		response, _ := server.do(t, "POST", "/webhooks/deep-image", "{}", nil)
		old <- response.StatusCode
	}()
	<-entered
	check := func(phase, method, path string, want int) {
		t.Helper()
		response, body := server.do(t, method, path, "", nil)
		if unavailable := want == http.StatusServiceUnavailable; response.StatusCode != want || unavailable != (response.Header.Get("Retry-After") != "") {
			t.Errorf("%s while %s = %d %s, Retry-After %q, want %d", path, phase, response.StatusCode, body, response.Header.Get("Retry-After"), want)
		}
		if !response.Close {
			t.Errorf("%s while %s: close = false, want true", path, phase)
		}
	}
	server.Drain()
	check("draining", "POST", "/webhooks/deep-image/token", http.StatusOK)
	check("draining", "GET", "/readyz", http.StatusServiceUnavailable)
	server.Refuse()
	check("stopping", "POST", "/webhooks/deep-image", http.StatusServiceUnavailable)
	check("stopping", "POST", "/webhooks/deep-image/token", http.StatusServiceUnavailable)
	check("stopping", "GET", "/readyz", http.StatusServiceUnavailable)
	if response, _ := server.do(t, "GET", "/livez", "", nil); response.StatusCode != http.StatusOK {
		t.Errorf("status of /livez while draining = %d, want 200", response.StatusCode)
	}
	close(leave)
	if status := <-old; status != http.StatusOK {
		t.Errorf("status of the callback in progress = %d, want 200", status)
	}
}

func TestShutdownWaitsForWhatIsServed(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	server := start(t, config(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-leave
		accept(w, r)
	}))
	status, stopped := make(chan int, 1), make(chan error, 1)
	go func() {
		response, _ := server.do(t, "POST", "/webhooks/deep-image", "{}", nil)
		status <- response.StatusCode
	}()
	<-entered
	go func() { stopped <- server.Shutdown(t.Context()) }()
	<-server.Done()
	if err := server.Err(); err != nil {
		t.Errorf("server error = %v, want none", err)
	}
	select {
	case err := <-stopped:
		t.Errorf("shutdown returned %v with a callback in progress, want it to wait", err)
	default:
	}
	close(leave)
	if got := <-status; got != http.StatusOK {
		t.Errorf("status of the callback = %d, want 200", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("shutdown error = %v, want none", err)
	}
}

func TestShutdownHasALimit(t *testing.T) {
	t.Parallel()
	entered, left := make(chan struct{}), make(chan struct{})
	server := start(t, config(), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		defer close(left)
		close(entered)
		<-r.Context().Done()
	}))
	connection := server.dial(t)
	_, _ = io.WriteString(connection, "POST /webhooks/deep-image HTTP/1.1\r\nHost: receiver\r\nContent-Length: 0\r\n\r\n")
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := server.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("shutdown error = %v, want %v", err, context.Canceled)
	}
	<-left
}

func TestErrAfterShutdown(t *testing.T) {
	t.Parallel()
	server := start(t, config(), http.HandlerFunc(accept))
	select {
	case <-server.Done():
		t.Error("Done is closed, want it open")
	default:
	}
	if err := server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-server.Done()
	if err := server.Err(); err != nil {
		t.Errorf("server error after shutdown = %v, want none", err)
	}
}

func TestSlowHeaderSectionHasADeadline(t *testing.T) {
	t.Parallel()
	c := config()
	c.ReadHeaderTimeout = 200 * time.Millisecond
	server := start(t, c, http.HandlerFunc(accept))
	connection := server.dial(t)
	_, _ = io.WriteString(connection, "POST /webhooks/deep-image HTTP/1.1\r\nHost: rec")
	if answer, err := io.ReadAll(connection); err != nil || len(answer) > 0 {
		t.Errorf("response to a slow header section = %q (%v), want none", answer, err)
	}
	if line := server.lines.next(t, "malformed request refused"); line["reason"] != "no_request" {
		t.Errorf("line = %v, want reason no_request", line)
	}
}

// TestOldestIdleConnectionIsClosed is fault D2: idle connections up to the limit do not lock out new ones.
func TestOldestIdleConnectionIsClosed(t *testing.T) {
	t.Parallel()
	c := config()
	c.MaxConnections = 3
	server := start(t, c, http.HandlerFunc(accept))
	held := make([]net.Conn, c.MaxConnections)
	for i := range held {
		held[i] = server.dial(t)
		askLive(t, held[i])
	}
	askLive(t, held[0]) // held[1] is the oldest now
	askLive(t, server.dial(t))
	if _, err := held[1].Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read error of the oldest idle connection = %v, want it closed", err)
	}
	askLive(t, held[0])
	askLive(t, held[2])
	if line := server.lines.next(t, "connection closed at the limit of connections"); line["reason"] != "idle" || line["level"] != "warn" {
		t.Errorf("line = %v, want reason idle at warn", line)
	}
}

// TestActiveConnectionsAreBounded has the limit of connections with a request in progress.
func TestActiveConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	c := config()
	c.MaxConnections = 3
	entered, leave := make(chan struct{}), make(chan struct{})
	server := start(t, c, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-leave
		accept(w, r)
	}))
	for range c.MaxConnections {
		_, _ = io.WriteString(server.dial(t), "POST /webhooks/deep-image HTTP/1.1\r\nHost: receiver\r\nContent-Length: 0\r\n\r\n")
		<-entered
	}
	surplus := server.dial(t)
	if _, err := surplus.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read error of a connection beyond the limit = %v, want it closed", err)
	}
	close(leave)
	for began := time.Now(); time.Since(began) < waitLimit; { // the server notices the end of a request a moment later
		connection := server.dial(t)
		_, _ = io.WriteString(connection, "GET /livez HTTP/1.1\r\nHost: receiver\r\n\r\n")
		_, err := connection.Read(make([]byte, 1))
		_ = connection.Close()
		if err == nil {
			return
		}
	}
	t.Error("got no connection after the requests finished, want one")
}

// TestMalformedRequests is fault A11: what net/http refuses by itself leaves a log line with the reason.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	rows := []struct{ name, sent, want string }{
		{"A11 PROXY line", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nPOST /webhooks/deep-image HTTP/1.1\r\nHost: receiver\r\n\r\n", "proxy_protocol"},
		{"A11 PROXY version 2", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c", "proxy_protocol"},
		{"A11 TLS", "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03abcdefgh", "tls"},
		{"A11 TLS with a line break", "\x16\x03\x01\x00\xa5\n\x01\x00\x00\xa1\n\n", "tls"},
		{"A11 no Host", "POST /webhooks/deep-image HTTP/1.1\r\n\r\n", "host"},
		{"A11 two Hosts", "POST /webhooks/deep-image HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "syntax"},
		{"A11 no HTTP", "hello\r\n\r\n", "syntax"},
		{"A11 space in a header name", "POST / HTTP/1.1\r\nHost: a\r\nBad Name: 1\r\n\r\n", "syntax"},
		{"A11 unknown transfer coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "transfer_coding"},
		{"A11 large header section", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", "header_section"},
		{"A11 header section cut off", "POST /webh", "syntax"},
		{"A11 after a good request", "GET /livez HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n", "host"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := start(t, config(), http.HandlerFunc(accept))
			connection := server.dial(t)
			_, _ = io.WriteString(connection, row.sent)
			half, ok := connection.(*net.TCPConn)
			if !ok {
				t.Fatalf("connection is a %T, want a *net.TCPConn", connection)
			}
			_ = half.CloseWrite()
			line := server.lines.next(t, "malformed request refused")
			if line["reason"] != row.want || line["remote"] != "127.0.0.1" || line["level"] != "info" {
				t.Errorf("line = %v, want reason %s from 127.0.0.1 at info", line, row.want)
			}
			if text := fmt.Sprint(line); strings.Contains(text, "webh") {
				t.Errorf("line = %v, want nothing of the request in it", line)
			}
		})
	}
}

func askLive(t *testing.T, connection net.Conn) {
	t.Helper()
	_, _ = io.WriteString(connection, "GET /livez HTTP/1.1\r\nHost: receiver\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatalf("error = %v, want a response within the limit", err)
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
}

// TestRefusalReachesAClientThatStillSends has a client that sends everything before it reads. It gets the response, not a reset.
func TestRefusalReachesAClientThatStillSends(t *testing.T) {
	t.Parallel()
	refusing := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})
	const length = 8 << 20
	rows := []struct{ name, header string }{
		{"declared", fmt.Sprintf("Content-Length: %d\r\n", length)},
		{"declared, and the client closes", fmt.Sprintf("Content-Length: %d\r\nConnection: close\r\n", length)},
		{"chunked", "Transfer-Encoding: chunked\r\n"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := start(t, config(), refusing)
			for range 2 {
				connection := server.dial(t)
				body := strings.Repeat("a", length)
				if strings.HasPrefix(row.header, "Transfer") {
					body = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", length, body)
				}
				if _, err := io.WriteString(connection, "POST /webhooks/deep-image HTTP/1.1\r\nHost: receiver\r\n"+row.header+"\r\n"+body); err != nil {
					t.Fatalf("write error = %v, want none", err)
				}
				reader := bufio.NewReader(connection)
				response, err := http.ReadResponse(reader, nil)
				if err != nil {
					t.Fatalf("read error = %v, want a response", err)
				}
				_ = response.Body.Close()
				if response.StatusCode != http.StatusNoContent || !response.Close {
					t.Errorf("status, close = %d, %t, want 204, true", response.StatusCode, response.Close)
				}
				if _, err := reader.ReadByte(); !errors.Is(err, io.EOF) {
					t.Errorf("error after the response = %v, want EOF", err)
				}
			}
		})
	}
}

// TestRefusalDoesNotWaitForTheBody has a client that never sends the body.
func TestRefusalDoesNotWaitForTheBody(t *testing.T) {
	t.Parallel()
	server := start(t, config(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	for name, header := range map[string]string{"plain": "", "expecting": "Expect: 100-continue\r\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			connection := server.dial(t)
			_, _ = io.WriteString(connection, "POST /webhooks/deep-image HTTP/1.1\r\nHost: receiver\r\nContent-Length: 1000\r\n"+header+"\r\n")
			reader := bufio.NewReader(connection)
			response, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != http.StatusNoContent {
				t.Errorf("status = %d, want 204", response.StatusCode)
			}
			if _, err := reader.ReadByte(); !errors.Is(err, io.EOF) {
				t.Errorf("error after the response = %v, want EOF", err)
			}
		})
	}
}

// TestUnreadBodyClosesTheConnection does not read the body to keep the connection, because that would delay the response.
func TestUnreadBodyClosesTheConnection(t *testing.T) {
	t.Parallel()
	server := start(t, config(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	connection := server.dial(t)
	_, _ = io.WriteString(connection, "POST /webhooks/deep-image HTTP/1.1\r\nHost: receiver\r\nContent-Length: 2\r\n\r\n{}")
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if !response.Close {
		t.Error("close = false, want true")
	}
}

// TestConnectionIsKept reads the whole body and uses the connection again.
func TestConnectionIsKept(t *testing.T) {
	t.Parallel()
	server := start(t, config(), http.HandlerFunc(accept))
	connection := server.dial(t)
	reader := bufio.NewReader(connection)
	for range 3 {
		_, _ = io.WriteString(connection, "POST /webhooks/deep-image HTTP/1.1\r\nHost: receiver\r\nContent-Length: 2\r\n\r\n{}")
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if response.Close || response.StatusCode != http.StatusOK {
			t.Errorf("status, close = %d, %t, want 200, false", response.StatusCode, response.Close)
		}
	}
}
