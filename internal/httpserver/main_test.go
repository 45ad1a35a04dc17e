package httpserver_test

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/api/apitest"
	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/httpserver"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

// waitLimit is how long a test waits for an expected result. The deadlines of the server are
// longer, so that a result caused by them comes too late.
const waitLimit = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config() httpserver.Config {
	return httpserver.Config{
		ListenAddr:        "127.0.0.1:0",
		ReadHeaderTimeout: 2 * waitLimit,
		ReadTimeout:       2 * waitLimit,
		WriteTimeout:      3 * waitLimit,
		IdleTimeout:       2 * waitLimit,
		MaxHeaderBytes:    8 << 10,
		MaxConnections:    100,
	}
}

// logLines receives the log, one line at a time.
type logLines chan map[string]any

func (l logLines) Write(line []byte) (int, error) {
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		return 0, err
	}
	l <- fields
	return len(line), nil
}

// next waits for the next line with this message.
func (l logLines) next(t *testing.T, message string) map[string]any {
	t.Helper()
	return l.find(t, func(line map[string]any) bool { return line["message"] == message })
}

// access waits for the next line of the access log.
func (l logLines) access(t *testing.T) map[string]any {
	t.Helper()
	return l.find(t, func(line map[string]any) bool { return line["duration_ms"] != nil })
}

func (l logLines) find(t *testing.T, match func(line map[string]any) bool) map[string]any {
	t.Helper()
	timeout := time.After(waitLimit)
	for {
		select {
		case line := <-l:
			if match(line) {
				return line
			}
		case <-timeout:
			t.Fatal("got no such log line, want one")
		}
	}
}

// running is a server that listens on loopback.
type running struct {
	*httpserver.Server
	address string
	url     string
	client  *http.Client // validates every response against the specification
	lines   logLines
}

func start(t *testing.T, config httpserver.Config, webhook http.Handler, checks ...httpserver.Check) *running {
	t.Helper()
	lines := make(logLines, 1024)
	server, err := httpserver.New(config, httpserver.Deps{Log: zerolog.New(lines), Webhook: webhook, Checks: checks})
	if err != nil {
		t.Fatal(err)
	}
	address, err := server.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
		defer cancel()
		_ = server.Shutdown(ctx) // tests of the shutdown itself look at its error
	})
	return &running{
		Server:  server,
		address: address.String(),
		url:     "http://" + address.String(),
		client:  &http.Client{Transport: apitest.Load(t).Transport(t, transport), Timeout: waitLimit},
		lines:   lines,
	}
}

// do sends a request and returns the response and its body.
func (s *running) do(t *testing.T, method, path, body string, header http.Header) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(request.Header, header)
	response, err := s.client.Do(request)
	if err != nil {
		t.Fatalf("%s %s: error = %v, want a response", method, path, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}

// dial opens a raw connection.
func (s *running) dial(t *testing.T) net.Conn {
	t.Helper()
	var dialer net.Dialer
	connection, err := dialer.DialContext(t.Context(), "tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	if err := connection.SetDeadline(time.Now().Add(waitLimit)); err != nil {
		t.Fatal(err)
	}
	return connection
}

func networks(t testing.TB, text string) configtypes.Prefixes {
	t.Helper()
	var prefixes configtypes.Prefixes
	if text == "" {
		return nil
	}
	if err := prefixes.Decode(text); err != nil {
		t.Fatal(err)
	}
	return prefixes
}

// accept is a webhook that reads the body and answers as the specification says.
func accept(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"id":"0192e4a4-7c1b-7d5e-9c3f-2f6d1f0a4b11","job":"j","status":"accepted"}`)
}
