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
		t.Error("a server without a handler was made")
	}
	c := config()
	c.WriteTimeout = c.ReadTimeout
	if _, err := httpserver.New(c, httpserver.Deps{Log: zerolog.Nop(), Webhook: http.HandlerFunc(accept)}); err == nil {
		t.Error("a server that cannot answer slow requests was made")
	}
}

func TestStartTellsThatThePortIsTaken(t *testing.T) {
	t.Parallel()
	first := start(t, config(), http.HandlerFunc(accept))
	c := config()
	c.ListenAddr = first.address
	second, err := httpserver.New(c, httpserver.Deps{Log: zerolog.Nop(), Webhook: http.HandlerFunc(accept)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Start(t.Context()); err == nil {
		t.Error("two servers listen on the same port")
	}
	if err := second.Shutdown(t.Context()); err != nil {
		t.Errorf("shutdown of a server that never listened: %v", err)
	}
}

func TestDrainRefusesNewCallbacksAndFinishesOldOnes(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	server := start(t, config(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-leave
		accept(w, r)
	}))
	old := make(chan int, 1)
	go func() {
		response, _ := server.do(t, "POST", "/webhooks/deep-image", "{}", nil)
		old <- response.StatusCode
	}()
	<-entered
	server.Drain()
	for path, method := range map[string]string{"/webhooks/deep-image": "POST", "/webhooks/deep-image/token": "POST", "/readyz": "GET"} {
		response, body := server.do(t, method, path, "", nil)
		if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
			t.Errorf("%s while draining: %d %s", path, response.StatusCode, body)
		}
		if !response.Close {
			t.Errorf("%s while draining keeps the connection", path)
		}
	}
	if response, _ := server.do(t, "GET", "/livez", "", nil); response.StatusCode != http.StatusOK {
		t.Errorf("/livez while draining: %d", response.StatusCode)
	}
	close(leave)
	if status := <-old; status != http.StatusOK {
		t.Errorf("the callback that was being served was answered %d", status)
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
		t.Errorf("the server stopped with %v", err)
	}
	select {
	case err := <-stopped:
		t.Errorf("the shutdown was over (%v) while a callback was being served", err)
	default:
	}
	close(leave)
	if got := <-status; got != http.StatusOK {
		t.Errorf("the callback was answered %d", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("shutdown: %v", err)
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
		t.Errorf("shutdown: %v", err)
	}
	<-left
}

func TestServerThatDiesTellsWhy(t *testing.T) {
	t.Parallel()
	server := start(t, config(), http.HandlerFunc(accept))
	select {
	case <-server.Done():
		t.Error("the server is done at once")
	default:
	}
	if err := server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-server.Done()
	if err := server.Err(); err != nil {
		t.Errorf("after a shutdown the server says %v", err)
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
		t.Errorf("a slow header section was answered %q, %v", answer, err)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	c := config()
	c.MaxConnections = 3
	server := start(t, c, http.HandlerFunc(accept))
	held := make([]net.Conn, c.MaxConnections)
	for i := range held {
		held[i] = server.dial(t)
		askLive(t, held[i])
	}
	surplus := server.dial(t)
	if _, err := surplus.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection beyond the limit was not closed: %v", err)
	}
	askLive(t, held[0])
	_ = held[0].Close()
	for began := time.Now(); time.Since(began) < waitLimit; { // the server learns of the end a moment later
		connection := server.dial(t)
		_, _ = io.WriteString(connection, "GET /livez HTTP/1.1\r\nHost: receiver\r\n\r\n")
		_, err := connection.Read(make([]byte, 1))
		_ = connection.Close()
		if err == nil {
			return
		}
	}
	t.Error("no connection is accept after another one was closed")
}

func askLive(t *testing.T, connection net.Conn) {
	t.Helper()
	_, _ = io.WriteString(connection, "GET /livez HTTP/1.1\r\nHost: receiver\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatalf("a connection within the limit: %v", err)
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
}

// A client that sends everything before it reads must see the refusal, and not a
// reset of its connection.
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
					t.Fatalf("the connection broke while the body was sent: %v", err)
				}
				reader := bufio.NewReader(connection)
				response, err := http.ReadResponse(reader, nil)
				if err != nil {
					t.Fatalf("the answer did not arrive: %v", err)
				}
				_ = response.Body.Close()
				if response.StatusCode != http.StatusNoContent || !response.Close {
					t.Errorf("answered %d, closing %t", response.StatusCode, response.Close)
				}
				if _, err := reader.ReadByte(); !errors.Is(err, io.EOF) {
					t.Errorf("after the answer came %v, want the end", err)
				}
			}
		})
	}
}

// The refusal of a body that never comes does not wait for it.
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
				t.Errorf("answered %d", response.StatusCode)
			}
			if _, err := reader.ReadByte(); !errors.Is(err, io.EOF) {
				t.Errorf("after the answer came %v, want the end", err)
			}
		})
	}
}

// A body that is there but not read is not read for the sake of the connection
// either, which would hold the answer back until the client has sent it all.
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
		t.Error("the answer does not announce the end of the connection")
	}
}

// A body that was read whole leaves the connection usable.
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
			t.Errorf("answered %d, closing %t", response.StatusCode, response.Close)
		}
	}
}
