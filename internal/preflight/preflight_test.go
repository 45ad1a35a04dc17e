package preflight

import (
	"errors"
	"net"
	"path/filepath"
	"testing"

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
		got     Result
		check   string
		subject string
		status  Status
	}{
		{name: "no error", got: result("x", "y", "text", nil), check: "x", subject: "y", status: OK},
		{name: "error", got: result("x", "y", "text", errors.New("failed")), check: "x", subject: "y", status: Fail},
		{name: "enough space", got: checkDisk(folder, 1), check: "disk", subject: folder, status: OK},
		{name: "too little space", got: checkDisk(folder, 1<<63), check: "disk", subject: folder, status: Fail},
		{name: "no folder", got: checkDisk(missing, 1), check: "disk", subject: missing, status: Fail},
		{name: "no store", got: checkStore(t.Context(), missing), check: "store", subject: missing, status: OK},
		{name: "free address", got: checkListenAddress(t.Context(), "127.0.0.1:0"), check: "address", subject: "127.0.0.1:0", status: OK},
		{name: "address in use", got: checkListenAddress(t.Context(), used), check: "address", subject: used, status: Warn},
		{name: "malformed address", got: checkListenAddress(t.Context(), "127.0.0.1"), check: "address", subject: "127.0.0.1", status: Fail},
		{name: "any host", got: checkHost(t.Context(), "*"), check: "host", subject: "*", status: Warn},
		{name: "subdomains", got: checkHost(t.Context(), "*.example.com"), check: "host", subject: "*.example.com", status: OK},
		{name: "address as host", got: checkHost(t.Context(), "127.0.0.1"), check: "host", subject: "127.0.0.1", status: OK},
		{name: "host that does not resolve", got: checkHost(t.Context(), "nowhere.invalid"), check: "host", subject: "nowhere.invalid", status: Warn},
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
	if got, want := Failed([]Result{{Status: OK}, {Status: Fail}, {Status: Warn}, {Status: Fail}}), 2; got != want {
		t.Errorf("Failed() = %d, want %d", got, want)
	}
}
