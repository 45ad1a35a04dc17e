package preflight_test

import (
	"net"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/preflight"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// TestCheckFetch is not parallel because it sets a variable.
func TestCheckFetch(t *testing.T) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, "")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	used := listener.Addr().String()
	for _, row := range []struct {
		name, proxy, environment string
		subject                  string // of the last result
		status                   preflight.Status
	}{
		{name: "B6 proxy of the setting", proxy: "http://user:hidden@" + used, subject: used, status: preflight.Warn},
		{name: "B6 proxy that cannot be reached", proxy: "http://127.0.0.1:1", subject: "127.0.0.1:1", status: preflight.Fail},
		{name: "B6 proxy of the environment is not used", environment: "http://" + used, subject: "HTTPS_PROXY", status: preflight.Warn},
		{name: "B6 proxy of the setting, and one of the environment", proxy: "socks5://" + used, environment: "http://" + used, subject: used, status: preflight.Warn},
		{name: "no proxy", subject: "127.0.0.1", status: preflight.OK},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Setenv("HTTPS_PROXY", row.environment)
			config := fetch.Config{AllowedHosts: configtypes.List{"127.0.0.1"}}
			if row.proxy != "" {
				config.ProxyURL = secret.New(row.proxy)
			}
			results := preflight.CheckFetch(t.Context(), config)
			last := results[len(results)-1]
			if last.Subject != row.subject || last.Status != row.status {
				t.Errorf("result = %+v, want %s %s", last, row.subject, row.status)
			}
		})
	}
}
