package main_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealthcheckOfRunningReceiver(t *testing.T) {
	t.Parallel()
	r := start(t, t.TempDir())
	_, port, _ := strings.Cut(r.address, ":")
	for _, row := range []struct {
		name string
		args []string
		env  []string
	}{
		{name: "alive", env: []string{r.listening()}},
		{name: "ready", args: []string{"--ready"}, env: []string{r.listening()}},
		{name: "PORT", env: []string{"PORT=" + port}},
		{name: "all addresses", env: []string{"RECEIVER_LISTEN_ADDR=:" + port}},
		{name: "all addresses of IPv4", env: []string{"RECEIVER_LISTEN_ADDR=0.0.0.0:" + port}},
		{name: "all addresses of IPv6", env: []string{"RECEIVER_LISTEN_ADDR=[::]:" + port}},
		{name: "one address", env: []string{"RECEIVER_LISTEN_ADDR=127.0.0.1:" + port}},
		{name: "faults of other variables", env: []string{r.listening(), "RECEIVER_LOG_LEVEL=loud", "RECEIVER_X=1", "RECEIVER_WEBHOOK_TOKENS="}},
		{name: "proxies are not used", env: []string{r.listening(), "HTTP_PROXY=http://127.0.0.1:1", "http_proxy=http://127.0.0.1:1"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got, want := run(t, row.env, append([]string{"healthcheck"}, row.args...)...).expect(t, 0).stdout, "ok\n"; got != want {
				t.Errorf("stdout = %q, want %q", got, want)
			}
		})
	}
}

func TestHealthcheckFails(t *testing.T) {
	t.Parallel()
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/livez":
			http.Redirect(w, r, "/ok", http.StatusFound)
		case "/readyz":
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(failing.Close)
	address := "RECEIVER_LISTEN_ADDR=" + strings.TrimPrefix(failing.URL, "http://")
	for _, row := range []struct {
		name string
		args string
		env  string
		code int
		want string // in stderr
	}{
		{name: "connection refused", env: "RECEIVER_LISTEN_ADDR=127.0.0.1:1", code: 1, want: "http://127.0.0.1:1/livez"},
		{name: "redirect", env: address, code: 1, want: "302"},
		{name: "not ready", args: "--ready", env: address, code: 1, want: "503"},
		{name: "malformed address", env: "RECEIVER_LISTEN_ADDR=8080", code: 2, want: "RECEIVER_LISTEN_ADDR"},
		{name: "malformed PORT", env: "PORT=x", code: 2, want: "PORT"},
		{name: "no fixed port", env: "RECEIVER_LISTEN_ADDR=127.0.0.1:0", code: 2, want: "127.0.0.1:0"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := run(t, []string{row.env}, append([]string{"healthcheck"}, strings.Fields(row.args)...)...).expect(t, row.code)
			contains(t, "stderr", got.stderr, row.want)
			if got.stdout != "" {
				t.Errorf("stdout = %q, want none", got.stdout)
			}
		})
	}
}

func TestHealthcheckTimesOut(t *testing.T) {
	t.Parallel()
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer hangs.Close()
	run(t, []string{"RECEIVER_LISTEN_ADDR=" + strings.TrimPrefix(hangs.URL, "http://")}, "healthcheck").expect(t, 1)
}
