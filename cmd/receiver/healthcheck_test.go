package main_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealthcheckOfARunningReceiver(t *testing.T) {
	t.Parallel()
	r := start(t, t.TempDir())
	_, port, _ := strings.Cut(r.address, ":")
	rows := []struct {
		name string
		args []string
		env  []string
	}{
		{"lives", nil, []string{r.listening()}},
		{"is ready", []string{"--ready"}, []string{r.listening()}},
		{"PORT", nil, []string{"PORT=" + port}},
		{"all addresses", nil, []string{"RECEIVER_LISTEN_ADDR=:" + port}},
		{"all addresses of IPv4", nil, []string{"RECEIVER_LISTEN_ADDR=0.0.0.0:" + port}},
		{"all addresses of IPv6", nil, []string{"RECEIVER_LISTEN_ADDR=[::]:" + port}},
		{"name", nil, []string{"RECEIVER_LISTEN_ADDR=127.0.0.1:" + port}},
		{"faults that are none of its business", nil, []string{r.listening(), "RECEIVER_LOG_LEVEL=loud", "RECEIVER_X=1", "RECEIVER_WEBHOOK_TOKENS="}},
		{"proxies are for others", nil, []string{r.listening(), "HTTP_PROXY=http://127.0.0.1:1", "http_proxy=http://127.0.0.1:1"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := run(t, row.env, append([]string{"healthcheck"}, row.args...)...).expect(t, 0); got.stdout != "ok\n" {
				t.Errorf("got %q", got.stdout)
			}
		})
	}
}

func TestHealthcheckSaysNo(t *testing.T) {
	t.Parallel()
	sick := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/livez":
			http.Redirect(w, r, "/ok", http.StatusFound)
		case "/readyz":
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(sick.Close)
	address := "RECEIVER_LISTEN_ADDR=" + strings.TrimPrefix(sick.URL, "http://")
	rows := []struct {
		name string
		args string
		env  string
		code int
		want string
	}{
		{"nobody listens", "", "RECEIVER_LISTEN_ADDR=127.0.0.1:1", 1, "no answer from http://127.0.0.1:1/livez"},
		{"redirect", "", address, 1, "answers 302 Found"},
		{"not ready", "--ready", address, 1, "answers 503 Service Unavailable"},
		{"address at fault", "", "RECEIVER_LISTEN_ADDR=8080", 2, "RECEIVER_LISTEN_ADDR is"},
		{"PORT at fault", "", "PORT=x", 2, "PORT is"},
		{"port left open", "", "RECEIVER_LISTEN_ADDR=127.0.0.1:0", 2, "leaves the port open"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := run(t, []string{row.env}, append([]string{"healthcheck"}, strings.Fields(row.args)...)...).expect(t, row.code)
			contains(t, "stderr", got.stderr, row.want)
			if got.stdout != "" {
				t.Errorf("stdout has %q", got.stdout)
			}
		})
	}
}

func TestHealthcheckGivesUpInTime(t *testing.T) {
	t.Parallel()
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer hangs.Close()
	got := run(t, []string{"RECEIVER_LISTEN_ADDR=" + strings.TrimPrefix(hangs.URL, "http://")}, "healthcheck").expect(t, 1)
	contains(t, "stderr", got.stderr, "deadline exceeded")
}
