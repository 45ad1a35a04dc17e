// Package databasetest opens a new database for every test and kind: files for SQLite, and databases of a Postgres server
// that it starts.
package databasetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Stores are the open databases of one receiver: in SQLite the inbox has a file of its own.
type Stores struct {
	Inbox, Work, Queue *database.DB
	closing            func() error
}

// Close closes the stores before the test ends.
func (s Stores) Close() error { return s.closing() }

// Place is the location of stores, which can be opened several times.
type Place struct {
	Kind   database.Kind
	Folder string          // of the SQLite files
	Config database.Config // of the Postgres database
	// Migrated reports that the stores have the schemas of a Template.
	Migrated bool
}

// Open opens the stores of this place and closes them when the test ends.
func (p *Place) Open(t testing.TB) Stores {
	t.Helper()
	if p.Kind == database.Postgres {
		server, err := database.OpenServer(t.Context(), p.Config)
		if err != nil {
			t.Fatal(err)
		}
		return Stores{Inbox: server.Inbox, Work: server.Work, Queue: server.Queue, closing: closeOnce(t, server.Close)}
	}
	inbox, work := p.openFile(t, "inbox.db"), p.openFile(t, "work.db")
	return Stores{Inbox: inbox, Work: work, Queue: work, closing: closeOnce(t, func() error { return errors.Join(inbox.Close(), work.Close()) })}
}

func (p *Place) openFile(t testing.TB, name string) *database.DB {
	t.Helper()
	db, err := database.OpenSQLite(t.Context(), filepath.Join(p.Folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// Each runs test once for each kind of database, at a new place without schemas.
func Each(t *testing.T, test func(t *testing.T, place *Place)) {
	t.Helper()
	each(t, NewPlace, test)
}

func each(t *testing.T, newPlace func(testing.TB, database.Kind) *Place, test func(*testing.T, *Place)) {
	t.Helper()
	for _, kind := range []database.Kind{database.SQLite, database.Postgres} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			test(t, newPlace(t, kind))
		})
	}
}

// NewPlace returns a new folder, or a new Postgres database. Without Postgres the test is skipped, but in CI it fails.
func NewPlace(t testing.TB, kind database.Kind) *Place {
	t.Helper()
	if kind == database.Postgres {
		return &Place{Kind: kind, Config: Postgres(t)}
	}
	return &Place{Kind: kind, Folder: t.TempDir()}
}

// SQLite opens a new, empty database file that is closed when the test ends.
func SQLite(t testing.TB) *database.DB {
	t.Helper()
	db := NewPlace(t, database.SQLite).openFile(t, "test.db")
	closeOnce(t, db.Close)
	return db
}

// closeOnce returns a function that calls do once, and calls it when the test ends.
func closeOnce(t testing.TB, do func() error) func() error {
	once := sync.OnceValue(do)
	t.Cleanup(func() {
		if err := once(); err != nil {
			t.Error(err)
		}
	})
	return once
}

// Postgres creates an empty database in the server that the tests of this process share, and drops it when the test
// ends. Without Postgres the test is skipped, but in CI it fails.
func Postgres(t testing.TB) database.Config {
	t.Helper()
	return newDatabase(t, sharedServer(t), "")
}

// newDatabase creates a database with options, and drops it when the test ends.
func newDatabase(t testing.TB, server *Server, options string) database.Config {
	t.Helper()
	name := newName()
	administer(t, server, "CREATE DATABASE "+name+options)
	t.Cleanup(func() { administer(t, server, "DROP DATABASE "+name+" WITH (FORCE)") })
	return ConfigOf(server.URL(name))
}

func newName() string { return "test_" + strings.ReplaceAll(uuid.NewString(), "-", "") }

// ConfigOf returns the configuration of the database at url, with few connections.
func ConfigOf(url string) database.Config {
	const connections, timeout = 12, 30_000_000_000
	return database.Config{URL: secret.New(url), MaxConnections: connections, StatementTimeout: timeout}
}

func administer(t testing.TB, server *Server, statement string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	connection, err := pgx.Connect(ctx, server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close(ctx) }()
	if _, err := connection.Exec(ctx, statement); err != nil {
		t.Error(err)
	}
}

// NeedPostgres skips the test if Postgres is not installed. In CI it fails the test.
func NeedPostgres(t testing.TB) {
	t.Helper()
	if _, err := findBinaries(); err != nil {
		const advice = "%s; install PostgreSQL's server (Debian: postgresql) to run this test"
		if os.Getenv("CI") != "" {
			t.Fatalf(advice, err)
		}
		t.Skipf("SKIPPED, NOT PASSED: "+advice, err)
	}
}

// sharedServer returns the server of this test process and starts it on the first call. It ends with the process.
func sharedServer(t testing.TB) *Server {
	t.Helper()
	NeedPostgres(t)
	server, err := shared()
	if err != nil {
		t.Fatal(fmt.Errorf("start Postgres: %w", err))
	}
	return server
}

//nolint:gochecknoglobals // one server for all tests of a process, since a start takes a second
var shared = sync.OnceValues(func() (*Server, error) { return StartServer(context.Background()) })
