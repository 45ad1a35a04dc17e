package databasetest

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/jackc/pgx/v5"
)

const poolerSettings = `[databases]
* = host=%s user=receiver
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = %s
auth_type = any
pool_mode = transaction
max_client_conn = 200
default_pool_size = 4
server_lifetime = 2
`

// PooledPlace returns a new Postgres database behind PgBouncer in transaction mode. PgBouncer has fewer connections to the server than
// the receiver has to PgBouncer, and replaces them often. Settings are lines of its configuration that override others. Without PgBouncer
// the test is skipped, but in CI it fails.
func PooledPlace(t testing.TB, lines ...string) *Place {
	t.Helper()
	place := NewPlace(t, database.Postgres)
	program := findPooler(t)
	server := sharedServer(t)
	folder, err := os.MkdirTemp("", "receiver-pooler-") //nolint:usetesting // a socket's path may not be long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	settings := filepath.Join(folder, "pgbouncer.ini")
	if err := os.WriteFile(settings, fmt.Appendf(nil, poolerSettings+strings.Join(lines, "\n")+"\n", server.folder, folder), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(server.account.own(folder), server.account.own(settings)); err != nil {
		t.Fatal(err)
	}
	startPooler(t, server, program, folder, settings)
	place.Config.DirectURL = place.Config.URL
	place.Config.URL = secret.New(throughPooler(t, place.Config.DirectURL.Reveal(), folder))
	awaitPooler(t, place.Config.URL.Reveal(), filepath.Join(folder, "log"))
	return place
}

func findPooler(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const advice = "there is no pgbouncer; install it (Debian: pgbouncer) to run this test"
	if os.Getenv("CI") != "" {
		t.Fatal(advice)
	}
	t.Skip("SKIPPED, NOT PASSED: " + advice)
	return ""
}

// startPooler runs the pooler until the test or this process ends.
func startPooler(t testing.TB, server *Server, program, folder, settings string) {
	t.Helper()
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	//nolint:gosec,noctx // it ends when its input ends
	process := exec.Command("/bin/sh", "-c", watcher, "sh", program, settings)
	process.Dir, process.Env = folder, append(os.Environ(), "FOLDER="+folder, "STOP=TERM")
	process.Stdout, process.Stderr = log, log
	process.SysProcAttr = server.account.attributes()
	watch, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = io.WriteString(watch, "keep\n")
		_ = watch.Close()
		_ = process.Wait() // a signal ended it
	})
}

func throughPooler(t testing.TB, direct, folder string) string {
	t.Helper()
	address, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	address.RawQuery = url.Values{"host": {folder}, "port": {"6432"}}.Encode()
	return address.String()
}

func awaitPooler(t testing.TB, address, log string) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(startTimeout)
	for {
		connection, err := pgx.Connect(t.Context(), address+"&default_query_exec_mode=exec")
		if err == nil {
			_ = connection.Close(t.Context())
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			text, _ := os.ReadFile(log)
			t.Fatalf("connection to the pooler: error = %v after %s, want none; log:\n%s", err, startTimeout, text)
		}
	}
}
