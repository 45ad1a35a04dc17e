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

// patience is how long a test waits for what must come. The server of a test waits
// longer, so that what comes by a deadline of the server comes too late.
const patience = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config() httpserver.Config {
	return httpserver.Config{
		ListenAddr:        "127.0.0.1:0",
		ReadHeaderTimeout: 2 * patience,
		ReadTimeout:       2 * patience,
		WriteTimeout:      3 * patience,
		IdleTimeout:       2 * patience,
		MaxHeaderBytes:    8 << 10,
		MaxConnections:    100,
	}
}

// logLines receives what is logged, a line at a time.
type logLines chan map[string]any

func (l logLines) Write(line []byte) (int, error) {
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		return 0, err
	}
	l <- fields
	return len(line), nil
}

// next waits for the next line that has this message.
func (l logLines) next(t *testing.T, message string) map[string]any {
	t.Helper()
	for {
		select {
		case line := <-l:
			if line["message"] == message {
				return line
			}
		case <-time.After(patience):
			t.Fatalf("no line %q was logged", message)
		}
	}
}

// running is a server that listens on loopback.
type running struct {
	*httpserver.Server
	address string
	url     string
	client  *http.Client // holds every answer against the specification
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
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = server.Shutdown(ctx) // tests of the shutdown itself look at its error
	})
	return &running{
		Server:  server,
		address: address.String(),
		url:     "http://" + address.String(),
		client:  &http.Client{Transport: apitest.Load(t).Transport(t, transport), Timeout: patience},
		lines:   lines,
	}
}

// do sends a request and gives the answer with its body.
func (s *running) do(t *testing.T, method, path, body string, header http.Header) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(request.Header, header)
	response, err := s.client.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}

// dial opens a connection that the test speaks on by itself.
func (s *running) dial(t *testing.T) net.Conn {
	t.Helper()
	var dialer net.Dialer
	connection, err := dialer.DialContext(t.Context(), "tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
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

// taken is a webhook that reads the body and says what the specification demands.
func taken(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"id":"0192e4a4-7c1b-7d5e-9c3f-2f6d1f0a4b11","job":"j","status":"accepted"}`)
}
