package preflight_test

import (
	"errors"
	"net"
	"path/filepath"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/preflight"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStatuses(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	missing, used := filepath.Join(folder, "missing"), listener.Addr().String()
	for _, row := range []struct {
		name    string
		got     preflight.Result
		check   string
		subject string
		status  preflight.Status
	}{
		{name: "no error", got: preflight.NewResult("x", "y", "text", nil), check: "x", subject: "y", status: preflight.OK},
		{name: "error", got: preflight.NewResult("x", "y", "text", errors.New("failed")), check: "x", subject: "y", status: preflight.Fail},
		{name: "enough space", got: preflight.CheckDisk(folder, 1), check: "disk", subject: folder, status: preflight.OK},
		{name: "too little space", got: preflight.CheckDisk(folder, 1<<63), check: "disk", subject: folder, status: preflight.Fail},
		{name: "no folder", got: preflight.CheckDisk(missing, 1), check: "disk", subject: missing, status: preflight.Fail},
		{name: "no store", got: preflight.CheckStore(t.Context(), missing), check: "store", subject: missing, status: preflight.OK},
		{name: "free address", got: preflight.CheckListenAddress(t.Context(), "127.0.0.1:0"), check: "address", subject: "127.0.0.1:0", status: preflight.OK},
		{name: "address in use", got: preflight.CheckListenAddress(t.Context(), used), check: "address", subject: used, status: preflight.Warn},
		{name: "malformed address", got: preflight.CheckListenAddress(t.Context(), "127.0.0.1"), check: "address", subject: "127.0.0.1", status: preflight.Fail},
		{name: "any host", got: preflight.CheckHost(t.Context(), "*"), check: "host", subject: "*", status: preflight.Warn},
		{name: "subdomains", got: preflight.CheckHost(t.Context(), "*.example.com"), check: "host", subject: "*.example.com", status: preflight.OK},
		{name: "address as host", got: preflight.CheckHost(t.Context(), "127.0.0.1"), check: "host", subject: "127.0.0.1", status: preflight.OK},
		{name: "host that does not resolve", got: preflight.CheckHost(t.Context(), "nowhere.invalid"), check: "host", subject: "nowhere.invalid", status: preflight.Warn},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if row.got.Check != row.check || row.got.Subject != row.subject || row.got.Status != row.status || row.got.Text == "" {
				t.Errorf("result = %+v, want %s %s %s with a text", row.got, row.check, row.subject, row.status)
			}
		})
	}
}

func TestFailed(t *testing.T) {
	t.Parallel()
	if got, want := preflight.Failed([]preflight.Result{{Status: preflight.OK}, {Status: preflight.Fail}, {Status: preflight.Warn}, {Status: preflight.Fail}}), 2; got != want {
		t.Errorf("Failed() = %d, want %d", got, want)
	}
}
