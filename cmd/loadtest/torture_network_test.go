//go:build linux && torture

package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/loadtest"
)

// TestTorturePostgres maltreats the database server under load: it is killed, paused, made read-only, and its connections are cut.
func TestTorturePostgres(t *testing.T) {
	t.Parallel()
	databasetest.NeedPostgres(t)
	for name, fault := range map[string]func(t *testing.T, server *databasetest.Server, db *sql.DB){
		"killed": func(t *testing.T, server *databasetest.Server, _ *sql.DB) {
			if err := server.Kill(); err != nil {
				t.Fatal(err)
			}
			pause(t, time.Second)
			if err := server.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
		"connections cut": func(t *testing.T, _ *databasetest.Server, db *sql.DB) {
			for range 20 {
				command(t, db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
				pause(t, 100*time.Millisecond)
			}
		},
		"read-only": func(t *testing.T, _ *databasetest.Server, db *sql.DB) {
			command(t, db, "ALTER SYSTEM SET default_transaction_read_only = on")
			command(t, db, "SELECT pg_reload_conf()")
			pause(t, 2*time.Second)
			command(t, db, "SET default_transaction_read_only = off")
			command(t, db, "ALTER SYSTEM RESET default_transaction_read_only")
			command(t, db, "SELECT pg_reload_conf()")
		},
		"locked": func(t *testing.T, _ *databasetest.Server, db *sql.DB) {
			tx, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.ExecContext(t.Context(), "LOCK TABLE callbacks, events, steps IN ACCESS EXCLUSIVE MODE"); err != nil {
				t.Error(err)
			}
			pause(t, 3*time.Second)
			if err := tx.Rollback(); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, err := databasetest.StartServer(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = server.Close() })
			o := newTorture(t, "RECEIVER_DATABASE_URL="+server.URL("postgres"), "RECEIVER_QUEUE_LEASE=2s")
			o.start(t)
			opened, err := database.OpenServer(t.Context(), databasetest.ConfigOf(server.URL("postgres")))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = opened.Close() })
			opened.Work.Writer.SetMaxOpenConns(1) // settings of the session stay
			o.during(t, func() {
				pause(t, 500*time.Millisecond)
				fault(t, server, opened.Work.Writer)
				pause(t, time.Second)
			})
			o.finish(t)
		})
	}
}

// command executes a statement. The connection may have been cut before.
func command(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Errorf("%s: error = %v, want none", statement, err)
	}
}

// TestTortureFullPostgres fills the disk of the database server under load.
func TestTortureFullPostgres(t *testing.T) {
	databasetest.NeedPostgres(t)
	disk := tmpfs(t, "size=320m,mode=1777")
	if err := os.Chmod(filepath.Dir(disk.point), 0o755); err != nil { // for the user of the server
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", disk.point)
	server, err := databasetest.StartServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	t.Setenv("TMPDIR", "/tmp")
	o := newTorture(t, "RECEIVER_DATABASE_URL="+server.URL("postgres"), "RECEIVER_QUEUE_LEASE=2s")
	o.start(t)
	o.during(t, func() {
		pause(t, 500*time.Millisecond)
		release := disk.fill(t)
		pause(t, 4*time.Second)
		release()
		if err := server.Kill(); err != nil { // it may have ended by itself
			t.Error(err)
		}
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		pause(t, time.Second)
	})
	o.finish(t)
}

// TestTorturePause stops the process for longer than all its deadlines.
func TestTorturePause(t *testing.T) {
	t.Parallel()
	o := newTorture(t)
	o.start(t)
	o.during(t, func() {
		for range 3 {
			pause(t, 300*time.Millisecond)
			if err := o.receiver.Signal(syscall.SIGSTOP); err != nil {
				t.Error(err)
			}
			pause(t, 6*time.Second) // the content stall is 5 s
			if err := o.receiver.Signal(syscall.SIGCONT); err != nil {
				t.Error(err)
			}
		}
		pause(t, 300*time.Millisecond)
	})
	o.finish(t)
}

const slowConnections = 5000

// TestTortureSlowConnections opens thousands of connections that send one byte at a time. Callbacks are still accepted, and the
// descriptors come back.
func TestTortureSlowConnections(t *testing.T) {
	t.Parallel()
	raiseDescriptors(t)
	o := newTorture(t)
	o.start(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var group sync.WaitGroup
	connected := make(chan bool, slowConnections)
	for range slowConnections {
		group.Go(func() { connected <- slowConnection(ctx, o.receiver.Address) })
	}
	o.during(t, func() { pause(t, 4*time.Second) })
	before := o.ledger.Acknowledged()
	stop()
	group.Wait()
	opened := 0
	for range slowConnections {
		if <-connected {
			opened++
		}
	}
	if opened < slowConnections*9/10 || before == 0 {
		t.Errorf("slow connections = %d, acknowledged meanwhile = %d, want about %d and some", opened, before, slowConnections)
	}
	t.Logf("%d slow connections, %d events acknowledged meanwhile", opened, before)
	o.finish(t)
}

func raiseDescriptors(t *testing.T) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < 2*slowConnections {
		t.Skipf("descriptors = %d, error %v, want %d", limit.Cur, err, 2*slowConnections)
	}
}

// slowConnection sends one byte at a time until the context ends or the receiver closes. It reports whether there was a connection.
func slowConnection(ctx context.Context, address string) bool {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer connection.Close()
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for _, char := range []byte("POST /webhooks/deep-image/" + tortureToken + " HTTP/1.1\r\nHost: x\r\n") {
		if _, err := connection.Write([]byte{char}); err != nil {
			return true
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return true
		}
	}
	return true
}

const randomRequests = 20_000

// TestTortureRequests sends random requests to both listeners. Neither series nor memory grow with them.
func TestTortureRequests(t *testing.T) {
	t.Parallel()
	o := newTorture(t)
	o.start(t)
	o.during(t, func() { pause(t, time.Second) })
	o.requests(t, randomRequests/4)
	before, err := o.receiver.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o.requests(t, randomRequests*3/4)
	after, err := o.receiver.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// A few rare combinations of route and status come late.
	if got, want := len(after), len(before)+40; got > want {
		t.Errorf("series = %d, want at most %d: %q", got, want, newSeries(before, after))
	}
	const memory = "process_resident_memory_bytes"
	if got, want := after[memory], before[memory]*1.5+32<<20; got > want {
		t.Errorf("memory = %v bytes, want at most %v", got, want)
	}
	t.Logf("series %d, then %d; memory %.0f MiB, then %.0f", len(before), len(after), before[memory]/(1<<20), after[memory]/(1<<20))
	o.finish(t)
}

func newSeries(before, after loadtest.Metrics) (list []string) {
	for name := range after {
		if _, ok := before[name]; !ok {
			list = append(list, name)
		}
	}
	return list
}

// requests sends so many random requests over a few connections.
func (o *torture) requests(t *testing.T, count int) {
	t.Helper()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range count / 8 {
				if t.Context().Err() != nil {
					return
				}
				o.request([]string{o.receiver.Address, o.receiver.Address, o.receiver.Admin}[o.intN(3)])
			}
		})
	}
	group.Wait()
}

// request sends one request of odd parts, and reads the begin of the response.
func (o *torture) request(address string) {
	one := func(list ...string) string { return list[o.intN(len(list))] }
	method := one("GET", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "X"+fmt.Sprint(o.intN(1000)), "\x00", "get")
	path := one("/", "/livez", "/readyz", "/events", "/api/v1/events?limit="+fmt.Sprint(o.intN(300)), "/webhooks/deep-image", "/webhooks/deep-image/"+tortureToken, "/webhooks/deep-image//"+tortureToken+"/",
		"/webhooks/deep-image/"+fmt.Sprint(o.intN(1<<30)), "/"+fmt.Sprint(o.intN(1<<30)), "/%zz", "/..//../etc/passwd", "*", "http://x/", strings.Repeat("/a", o.intN(3000)))
	version := one("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/9.9", "")
	body := one("", "{", "[]", `{"job":1}`, `{"job":"`+strings.Repeat("j", o.intN(2000))+`"`, "\x00\xff", strings.Repeat("[", o.intN(5000)), `{"job":"x","job":"y"}`)
	length := one(fmt.Sprint(len(body)), fmt.Sprint(len(body)), fmt.Sprint(len(body)), "-1", "x", "99999999999999999999", fmt.Sprint(len(body)+1))
	header := one("X: y", "Content-Encoding: "+one("gzip", "br", "x"), "Authorization: Bearer "+fmt.Sprint(o.intN(1<<30)), "X-Forwarded-For: "+one("1.2.3.4", "x", ""),
		"Transfer-Encoding: chunked", "Host: "+fmt.Sprint(o.intN(1<<30)), "User-Agent: "+strings.Repeat("u", o.intN(4000)), "\x01: x", "Expect: 100-continue")
	var request bytes.Buffer
	fmt.Fprintf(&request, "%s %s %s\r\nHost: x\r\nContent-Length: %s\r\n%s\r\nConnection: close\r\n\r\n%s", method, path, version, length, header, body)
	connection, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(200 * time.Millisecond)) // some requests never end
	if _, err := connection.Write(request.Bytes()); err != nil {
		return
	}
	if response, err := http.ReadResponse(bufio.NewReader(connection), nil); err == nil {
		_ = response.Body.Close()
	}
}
