package httpserver_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/httpserver"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

const someToken = "token-that-must-not-be-logged"

func TestAccessLog(t *testing.T) {
	t.Parallel()
	server := start(t, config(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info := problem.RequestInfoFrom(r.Context())
		info.Job, info.Receipt = "job-7", event.Receipt{ID: "0192e4a4-7c1b-7d5e-9c3f-2f6d1f0a4b11", Duplicate: true}
		info.Names, info.NameChanged = event.Names{Input: "a.png", Reference: "SKU-4711"}, true
		accept(w, r)
	}))
	header := http.Header{"User-Agent": {strings.Repeat("a", 200) + "\x80"}, "Authorization": {"Bearer " + someToken}}
	response, body := server.do(t, "POST", "/webhooks/deep-image/"+someToken+"?token="+someToken, "12345", header)
	line := server.lines.access(t)
	want := map[string]any{
		"level": "info", "message": "callback accepted", "method": "POST", "route": "/webhooks/deep-image/{token}", "status": 200.0,
		"bytes_in": 5.0, "bytes_out": float64(len(body)), "client": "127.0.0.1", "request_id": response.Header.Get("X-Request-Id"),
		"event": "0192e4a4-7c1b-7d5e-9c3f-2f6d1f0a4b11", "job": "job-7", "duplicate": true,
		"input": "a.png", "reference": "SKU-4711", "reference_changed": true, "user_agent": strings.Repeat("a", 117) + "…",
	}
	duration, ok := line["duration_ms"].(float64)
	if !ok || duration < 0 {
		t.Errorf("duration_ms = %v, want a number of at least 0", line["duration_ms"])
	}
	delete(line, "duration_ms")
	for name, value := range want {
		if line[name] != value {
			t.Errorf("%s = %v, want %v", name, line[name], value)
		}
		delete(line, name)
	}
	if len(line) > 0 {
		t.Errorf("other fields = %v, want none", line)
	}
}

func TestAccessLogOfRefusals(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name, method, path string
		status             float64
		route, problem     string
	}{
		{"no route", "GET", "/" + someToken, 404, "", "not_found"},
		{"other method", "PUT", "/webhooks/deep-image/" + someToken, 405, "/webhooks/deep-image/{token}", "method_not_allowed"},
		{"made-up method", strings.ToUpper(someToken), "/webhooks/deep-image/" + someToken, 405, "/webhooks/deep-image/{token}", "method_not_allowed"},
		{"unavailable", "POST", "/webhooks/deep-image/" + someToken, 503, "/webhooks/deep-image/{token}", "unavailable"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := start(t, config(), http.HandlerFunc(accept))
			server.Refuse()
			server.do(t, row.method, row.path, "", nil)
			line := server.lines.access(t)
			if line["status"] != row.status || line["route"] != row.route || line["problem"] != row.problem || line["level"] != "info" {
				t.Errorf("line = %v, want status %v, route %q, problem %q at info", line, row.status, row.route, row.problem)
			}
			if text := strings.ToLower(fmt.Sprint(line)); strings.Contains(text, someToken) {
				t.Errorf("line = %v, want no token in it", line)
			}
		})
	}
}

func TestHealthIsLoggedForDebuggingOnly(t *testing.T) {
	t.Parallel()
	server := start(t, config(), http.HandlerFunc(accept))
	for _, path := range []string{"/livez", "/healthz", "/readyz"} {
		server.do(t, "GET", path, "", nil)
		if line := server.lines.access(t); line["level"] != "debug" || line["route"] != path {
			t.Errorf("line = %v, want route %s at debug", line, path)
		}
	}
}

func TestPanicIsAnswered(t *testing.T) {
	t.Parallel()
	server := start(t, config(), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic(errors.New("index out of range in secret place"))
	}))
	response, body := server.do(t, "POST", "/webhooks/deep-image", "", nil)
	if response.StatusCode != http.StatusInternalServerError || strings.Contains(body, "secret place") {
		t.Errorf("response = %d %s, want 500 without the cause", response.StatusCode, body)
	}
	line := server.lines.next(t, "panic while serving request")
	stack, _ := line["stack"].(string)
	if line["level"] != "error" || line["request_id"] != response.Header.Get("X-Request-Id") || !strings.Contains(stack, "accesslog_test.go") {
		t.Errorf("line = %v, want level error, request id %s and a stack", line, response.Header.Get("X-Request-Id"))
	}
	if line := server.lines.access(t); line["status"] != 500.0 {
		t.Errorf("access log line = %v, want status 500", line)
	}
}

func TestPanicInTheMiddleOfAnAnswerBreaksTheConnection(t *testing.T) {
	t.Parallel()
	server := start(t, config(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("a", 10_000))
		panic("too late")
	}))
	connection := server.dial(t)
	_, _ = io.WriteString(connection, "POST /webhooks/deep-image HTTP/1.1\r\nHost: receiver\r\nContent-Length: 0\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err == nil {
		defer func() { _ = response.Body.Close() }()
		_, err = io.Copy(io.Discard, response.Body)
	}
	if err == nil {
		t.Error("got a complete response of a handler that panicked, want an error")
	}
	server.lines.next(t, "panic while serving request")
}

// TestRefusalsAreLoggedByRate is faults D11 and F8: lines about wrong tokens and about failures of ours are limited.
func TestRefusalsAreLoggedByRate(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name         string
		code         problem.Code
		limited, all string // levels of the first ten lines, and of the others
	}{
		{"D11 wrong token", problem.CodeUnauthorized, "info", "debug"},
		{"F8 store away", problem.CodeUnavailable, "warn", "info"},
		{"F8 panic", problem.CodeInternal, "warn", "info"},
		{"conflict", problem.CodeConflict, "info", "info"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			lines := make(logLines, 1024)
			server, err := httpserver.New(config(), httpserver.Deps{Log: zerolog.New(lines), Webhook: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				problem.Write(w, r, &problem.Error{Code: row.code})
			})})
			if err != nil {
				t.Fatal(err)
			}
			router := server.Router()
			for i := range 15 {
				router.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, event.WebhookPath, http.NoBody))
				want := row.limited
				if i >= 10 {
					want = row.all
				}
				if line := lines.access(t); line["level"] != want {
					t.Errorf("line %d = %v, want level %s", i, line, want)
				}
			}
			registry := prometheus.NewRegistry()
			registry.MustRegister(server.Collectors()...)
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, family := range families {
				if got := family.GetMetric()[0].GetCounter().GetValue(); family.GetName() == "receiver_http_requests_total" && got != 15 {
					t.Errorf("requests counted = %v, want 15", got)
				}
			}
		})
	}
}
