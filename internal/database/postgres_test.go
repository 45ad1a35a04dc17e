package database_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql/driver"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestServerSettingsAreInForce(t *testing.T) {
	t.Parallel()
	config := databasetest.Postgres(t)
	config.StatementTimeout, config.MaxConnections = 1500*time.Millisecond, 16
	server, err := database.OpenServer(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	var connections int32
	for _, db := range []*database.DB{server.Inbox, server.Work, server.Queue} {
		connections += db.Pool.Config().MaxConns
		for name, want := range map[string]string{
			"statement_timeout": "1500ms", "idle_in_transaction_session_timeout": "10s", "application_name": "receiver", "synchronous_commit": "on",
		} {
			var got string
			if err := db.Reader.QueryRowContext(t.Context(), "SELECT current_setting($1)", name).Scan(&got); err != nil || got != want {
				t.Errorf("%s = %q, error %v; want %q", name, got, err, want)
			}
		}
	}
	if connections != 16 {
		t.Errorf("maximum of connections = %d, want 16", connections)
	}
	begun := time.Now()
	if _, err := server.Work.Writer.ExecContext(t.Context(), "SELECT pg_sleep(20)"); err == nil || time.Since(begun) > 15*time.Second {
		t.Errorf("a statement of 20 s ended after %s, error %v; want an error after 1.5 s", time.Since(begun), err)
	}
}

// Settings in the URL take precedence.
func TestServerSettingsOfTheURL(t *testing.T) {
	t.Parallel()
	config := databasetest.Postgres(t)
	config.URL = secret.New(config.URL.Reveal() + "&statement_timeout=7000&application_name=mine")
	server, err := database.OpenServer(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	var timeout, name string
	err = server.Work.Reader.QueryRowContext(t.Context(), "SELECT current_setting('statement_timeout'), current_setting('application_name')").Scan(&timeout, &name)
	if err != nil || timeout != "7s" || name != "mine" {
		t.Errorf("timeout = %s, name = %s, error %v; want 7s and mine", timeout, name, err)
	}
}

// F5: the server's configuration may stop to sync commits after the start; those of all sessions, old and new, stay synced.
func TestCommitsStaySynchronous(t *testing.T) {
	t.Parallel()
	config := databasetest.Postgres(t)
	server, err := database.OpenServer(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	var name string
	if err := server.Work.Reader.QueryRowContext(t.Context(), "SELECT current_database()").Scan(&name); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Work.Writer.ExecContext(t.Context(), `ALTER DATABASE "`+name+`" SET synchronous_commit = off`); err != nil {
		t.Fatal(err)
	}
	setting := func() (value string) {
		if err := server.Inbox.Reader.QueryRowContext(t.Context(), "SELECT current_setting('synchronous_commit')").Scan(&value); err != nil {
			t.Fatal(err)
		}
		return value
	}
	if got := setting(); got != "on" {
		t.Errorf("synchronous_commit of an old connection = %q, want on", got)
	}
	server.Inbox.Pool.Reset() // the next connection is new
	if got := setting(); got != "on" {
		t.Errorf("synchronous_commit of a new connection = %q, want on", got)
	}
}

// A server that does not sync commits is refused, and a refusal of the server is not retried.
func TestOpenServerRefuses(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name  string
		alter func(url string) string
		want  string
	}{
		{name: "commits are not synced", alter: func(url string) string { return url + "&synchronous_commit=off" }, want: "synchronous_commit = off"},
		{name: "no such database", alter: func(url string) string { return strings.Replace(url, "/test_", "/missing_", 1) }, want: "does not exist"},
		{name: "no such user", alter: func(url string) string { return strings.Replace(url, "receiver@", "hunter2:hunter3@", 1) }, want: "does not exist"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			config := databasetest.Postgres(t)
			config.URL = secret.New(row.alter(config.URL.Reveal()))
			begun := time.Now()
			_, err := database.OpenServer(t.Context(), config)
			if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "hunter3") {
				t.Errorf("error = %v, want one with %q and without the password", err, row.want)
			}
			if time.Since(begun) > 20*time.Second {
				t.Errorf("OpenServer took %s, want less than 20 s", time.Since(begun))
			}
		})
	}
}

// A server that would lose acknowledged commits is refused, unless the person who runs the receiver accepts it.
func TestFsyncOff(t *testing.T) {
	t.Parallel()
	databasetest.NeedPostgres(t)
	server, err := databasetest.StartServer(t.Context(), "fsync=off")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	for _, row := range []struct {
		name     string
		accepted bool
		want     error
	}{
		{name: "E7 fsync off", want: database.ErrNotSynced},
		{name: "E7 fsync off, accepted", accepted: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			config := databasetest.ConfigOf(server.URL("postgres"))
			config.AcceptFsyncOff = row.accepted
			_, checked := database.CheckServer(t.Context(), config)
			opened, err := database.OpenServer(t.Context(), config)
			if err == nil {
				_ = opened.Close()
			}
			if !errors.Is(err, row.want) || !errors.Is(checked, row.want) {
				t.Errorf("OpenServer = %v, CheckServer = %v; want %v", err, checked, row.want)
			}
		})
	}
}

// Without a direct URL a pooler is refused by serve and by check, whatever its mode and settings are.
func TestPoolerIsRefused(t *testing.T) {
	t.Parallel()
	const ignored = "ignore_startup_parameters = extra_float_digits,statement_timeout,idle_in_transaction_session_timeout," +
		"tcp_keepalives_idle,tcp_keepalives_interval,tcp_keepalives_count"
	for _, row := range []struct {
		name   string
		lines  []string
		direct bool // the direct URL leads through the pooler
		works  bool
	}{
		{name: "E17 transaction mode"},
		{name: "E17 session mode", lines: []string{"pool_mode = session"}},
		{name: "E17 statement mode", lines: []string{"pool_mode = statement"}},
		{name: "E17 transaction mode, parameters ignored", lines: []string{ignored}},
		{name: "E17 transaction mode, parameters ignored, round robin", lines: []string{ignored, "server_round_robin = 1"}},
		{name: "E17 direct URL through the pooler", direct: true},
		{name: "E17 direct URL through the pooler, parameters ignored", lines: []string{ignored}, direct: true},
		{name: "E17 session mode, parameters ignored", lines: []string{"pool_mode = session", "default_pool_size = 50", ignored}, works: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			config := databasetest.PooledPlace(t, row.lines...).Config
			config.DirectURL = secret.Value{}
			if row.direct {
				config.DirectURL = config.URL
			}
			_, checked := database.CheckServer(t.Context(), config)
			migrated := database.MigrateServer(t.Context(), config, func(context.Context, *database.DB) error { return nil })
			opened, err := database.OpenServer(t.Context(), config)
			if err == nil {
				_ = opened.Close()
			}
			for name, got := range map[string]error{"CheckServer": checked, "MigrateServer": migrated, "OpenServer": err} {
				if row.works && got != nil || !row.works && (!errors.Is(got, database.ErrPooler) || !strings.Contains(got.Error(), "RECEIVER_DATABASE_DIRECT_URL")) {
					t.Errorf("%s = %v, want success = %t, else a refusal that names the variable", name, got, row.works)
				}
			}
		})
	}
}

// Since Postgres 15 a role that does not own the database may not create tables.
func TestRoleWithoutRights(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, statement string
		want            error
	}{
		{name: "E7 no CREATE", statement: "REVOKE CREATE ON SCHEMA public FROM PUBLIC", want: database.ErrNoRights},
		{name: "E7 neither CREATE nor USAGE", statement: "REVOKE ALL ON SCHEMA public FROM PUBLIC", want: database.ErrNoRights},
		{name: "E7 granted", statement: "GRANT USAGE, CREATE ON SCHEMA public TO PUBLIC"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			config := databasetest.Postgres(t)
			role := strings.ToLower("role-" + rand.Text())
			owner, err := database.OpenServer(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = owner.Close() })
			for _, statement := range []string{`CREATE ROLE "` + role + `" LOGIN`, row.statement} {
				if _, err := owner.Work.Writer.ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			t.Cleanup(func() {
				if _, err := owner.Work.Writer.ExecContext(context.WithoutCancel(t.Context()), `DROP OWNED BY "`+role+`"; DROP ROLE "`+role+`"`); err != nil {
					t.Error(err)
				}
			})
			config.URL = secret.New(strings.Replace(config.URL.Reveal(), "receiver@", role+"@", 1))
			_, checked := database.CheckServer(t.Context(), config, "test")
			migrated := database.MigrateServer(t.Context(), config, func(ctx context.Context, db *database.DB) error {
				_, err := db.Migrate(ctx, schema("00001"), "test")
				return err
			})
			for name, got := range map[string]error{"CheckServer": checked, "MigrateServer": migrated} {
				if !errors.Is(got, row.want) || got != nil && !strings.Contains(got.Error(), `TO "`+role+`"`) {
					t.Errorf("%s = %v, want %v with the statement for the role", name, got, row.want)
				}
			}
		})
	}
}

func TestIsUnavailable(t *testing.T) {
	t.Parallel()
	postgres := func(code string) error { return fmt.Errorf("history: list: %w", &pgconn.PgError{Code: code}) }
	for _, row := range []struct {
		name string
		err  error
		want bool
	}{
		{name: "E11 none"},
		{name: "E11 shutdown", err: postgres("57P01"), want: true},
		{name: "E11 starts", err: postgres("57P03"), want: true},
		{name: "E11 statement cancelled", err: postgres("57014"), want: true},
		{name: "E11 too many connections", err: postgres("53300"), want: true},
		{name: "E11 disk full", err: postgres("53100"), want: true},
		{name: "E11 read-only replica", err: postgres("25006"), want: true},
		{name: "E11 connection failed", err: postgres("08006"), want: true},
		{name: "E11 input and output", err: postgres("58030"), want: true},
		{name: "E11 connection broken", err: fmt.Errorf("x: %w", io.ErrUnexpectedEOF), want: true},
		{name: "E11 refused", err: &net.OpError{Op: "dial", Err: errors.New("connection refused")}, want: true},
		{name: "E11 bad connection", err: driver.ErrBadConn, want: true},
		{name: "E11 too slow", err: context.DeadlineExceeded, want: true},
		{name: "E11 missing table", err: postgres("42P01")},
		{name: "E11 constraint", err: postgres("23505")},
		{name: "E11 not found", err: database.ErrNotFound},
		{name: "E11 client is gone", err: context.Canceled},
	} {
		if got := database.IsUnavailable(row.err); got != row.want {
			t.Errorf("%s: IsUnavailable(%v) = %t, want %t", row.name, row.err, got, row.want)
		}
	}
}

// Replicas that start together migrate one after the other.
func TestMigrationsAreExclusive(t *testing.T) {
	t.Parallel()
	config := databasetest.Postgres(t)
	var inside, most atomic.Int64
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			err := database.MigrateServer(t.Context(), config, func(ctx context.Context, db *database.DB) error {
				most.Store(max(most.Load(), inside.Add(1)))
				defer inside.Add(-1)
				_, err := db.Migrate(ctx, schema("00001", "00002"), "test")
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if most.Load() != 1 {
		t.Errorf("%d migrations ran concurrently, want 1", most.Load())
	}
}

// OpenServer waits for a server that starts, and the pools reconnect after a crash of the server.
func TestServerStartsLate(t *testing.T) {
	t.Parallel()
	databasetest.NeedPostgres(t)
	server, err := databasetest.StartServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	opened := make(chan *database.Server, 1)
	go func() {
		s, err := database.OpenServer(t.Context(), databasetest.ConfigOf(server.URL("postgres")))
		if err != nil {
			t.Error(err)
		}
		opened <- s
	}()
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := <-opened
	if s == nil {
		return
	}
	defer func() { _ = s.Close() }()
	if err := errors.Join(server.Kill(), server.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(30 * time.Second)
	for {
		if _, err := s.Work.Writer.ExecContext(t.Context(), "SELECT 1"); err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatal("no connection 30 s after a crash of the server, want the pool to reconnect")
		default:
		}
	}
}

// The options of libpq decide how the certificate of the server is checked.
func TestServerWithTLS(t *testing.T) {
	t.Parallel()
	databasetest.NeedPostgres(t)
	certificate, key := selfSigned(t)
	other, _ := selfSigned(t)
	port := startTLS(t, certificate, key)
	folder := t.TempDir()
	trusted, untrusted := filepath.Join(folder, "ca.pem"), filepath.Join(folder, "other.pem")
	if err := errors.Join(os.WriteFile(trusted, certificate, 0o600), os.WriteFile(untrusted, other, 0o600)); err != nil {
		t.Fatal(err)
	}
	rows := []struct {
		name    string
		options url.Values
		works   bool
	}{
		{name: "trusted certificate", options: url.Values{"sslmode": {"verify-full"}, "sslrootcert": {trusted}}, works: true},
		{name: "untrusted certificate", options: url.Values{"sslmode": {"verify-full"}, "sslrootcert": {untrusted}}},
		{name: "not checked", options: url.Values{"sslmode": {"require"}}, works: true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			address := "postgres://receiver@127.0.0.1:" + port + "/postgres?" + row.options.Encode()
			begun := time.Now()
			text, err := database.CheckServer(t.Context(), databasetest.ConfigOf(address))
			if (err == nil) != row.works || time.Since(begun) > 20*time.Second {
				t.Fatalf("CheckServer = %q after %s, error %v; want success = %t within 20 s", text, time.Since(begun), err, row.works)
			}
		})
	}
}

func startTLS(t *testing.T, certificate, key []byte) (port string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort(listener.Addr().String())
	_ = listener.Close()
	server, err := databasetest.StartServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	certificateFile, err := server.AddFile("server.crt", certificate)
	if err != nil {
		t.Fatal(err)
	}
	keyFile, err := server.AddFile("server.key", key)
	if err != nil {
		t.Fatal(err)
	}
	server.Set("ssl=on", "ssl_cert_file="+certificateFile, "ssl_key_file="+keyFile, "listen_addresses=127.0.0.1", "port="+port)
	if err := errors.Join(server.Kill(), server.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	return port
}

// selfSigned makes a self-signed certificate of 127.0.0.1.
func selfSigned(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: privateDER})
}
