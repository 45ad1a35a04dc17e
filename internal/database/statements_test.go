package database_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
)

// statementConnection returns a connection of a database with a table of three rows.
func statementConnection(t *testing.T) *sql.Conn {
	t.Helper()
	connection, err := databasetest.SQLite(t).Writer.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	for _, statement := range []string{"CREATE TABLE rows (n INTEGER)", "INSERT INTO rows VALUES (1), (2), (3)"} {
		if _, err := connection.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return connection
}

func TestStatementsAreKept(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name  string
		query func(n int) string
		want  int
	}{
		{name: "the same one", query: func(int) string { return "SELECT count(*) FROM rows" }, want: 1},
		{name: "with a comment", query: func(int) string { return "-- name: One :one\nSELECT count(*) FROM rows" }, want: 1},
		{name: "no more than the limit", query: func(n int) string { return fmt.Sprint("SELECT count(*) + ", n, " FROM rows") }, want: database.MaxStatements},
		{name: "no other kind", query: func(int) string { return "PRAGMA page_count" }, want: 0},
		{name: "no large ones", query: func(int) string { return "SELECT 1 --" + strings.Repeat("x", 1<<20) }, want: 0},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			connection := statementConnection(t)
			before := database.KeptStatements(connection)
			for n := range database.MaxStatements + 10 {
				var found int
				if err := connection.QueryRowContext(t.Context(), row.query(n)).Scan(&found); err != nil {
					t.Fatal(err)
				}
			}
			if got, want := database.KeptStatements(connection), min(before+row.want, database.MaxStatements); got != want {
				t.Errorf("kept statements = %d, want %d", got, want)
			}
		})
	}
}

// A query that runs while rows of the same query are read does not disturb them.
func TestStatementRunsWhileItsRowsAreRead(t *testing.T) {
	t.Parallel()
	connection := statementConnection(t)
	const query = "SELECT n FROM rows WHERE n >= $1 ORDER BY n"
	for range 2 {
		outer, err := connection.QueryContext(t.Context(), query, 1)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for outer.Next() {
			var n, inner int
			if err := errors.Join(outer.Scan(&n), connection.QueryRowContext(t.Context(), query, 3).Scan(&inner)); err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(n, inner))
		}
		if err := errors.Join(outer.Err(), outer.Close()); err != nil {
			t.Fatal(err)
		}
		if got, want := strings.Join(got, ", "), "1 3, 2 3, 3 3"; got != want {
			t.Errorf("rows = %s, want %s", got, want)
		}
	}
}

func TestStatementSurvives(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name   string
		before func(t *testing.T, connection *sql.Conn)
		want   string
	}{
		{name: "nothing", before: func(*testing.T, *sql.Conn) {}, want: "n: 1 2 3"},
		{name: "another column", before: runScript("ALTER TABLE rows ADD COLUMN m INTEGER DEFAULT 7"), want: "n m: 1 7 2 7 3 7"},
		{name: "another table", before: runScript("DROP TABLE rows; CREATE TABLE rows (a TEXT, b TEXT); INSERT INTO rows VALUES ('x', 'y')"), want: "a b: x y"},
		{name: "another index", before: runScript("CREATE INDEX rows_n ON rows (n)"), want: "n: 1 2 3"},
		{name: "a rollback", before: runScript("BEGIN; ALTER TABLE rows ADD COLUMN m INTEGER; ROLLBACK"), want: "n: 1 2 3"},
		{name: "a cancelled use", before: cancelWhileReading, want: "n: 1 2 3"},
		{name: "a failed use", before: func(t *testing.T, connection *sql.Conn) {
			t.Helper()
			if _, err := connection.ExecContext(t.Context(), "SELECT * FROM rows WHERE $1 IS NULL", struct{}{}); err == nil {
				t.Error("error = nil, want one")
			}
		}, want: "n: 1 2 3"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			connection := statementConnection(t)
			if got, want := readAll(t, connection), "n: 1 2 3"; got != want {
				t.Errorf("rows before = %s, want %s", got, want)
			}
			row.before(t, connection)
			if got := readAll(t, connection); got != row.want {
				t.Errorf("rows = %s, want %s", got, row.want)
			}
		})
	}
}

func runScript(script string) func(t *testing.T, connection *sql.Conn) {
	return func(t *testing.T, connection *sql.Conn) {
		t.Helper()
		if _, err := connection.ExecContext(t.Context(), script); err != nil {
			t.Fatal(err)
		}
	}
}

const allRows = "SELECT * FROM rows WHERE $1 IS NULL"

// cancelWhileReading cancels a query after its first row.
func cancelWhileReading(t *testing.T, connection *sql.Conn) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rows, err := connection.QueryContext(ctx, allRows, nil)
	if err != nil || !rows.Next() {
		t.Fatalf("first row: error %v, want one", err)
	}
	cancel()
	for rows.Next() { // until the cancellation has closed the rows
	}
	if err := rows.Err(); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want %v", err, context.Canceled)
	}
	_ = rows.Close()
}

// readAll returns the columns and the values of all rows.
func readAll(t *testing.T, connection *sql.Conn) string {
	t.Helper()
	rows, err := connection.QueryContext(t.Context(), allRows, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(columns, " ") + ":"
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		targets := make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			t.Fatal(err)
		}
		for _, value := range values {
			text += " " + value.String
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return text
}

func TestLimits(t *testing.T) {
	t.Parallel()
	connection := statementConnection(t)
	for _, row := range []struct {
		query string
		limit any
		want  int
	}{
		{query: "SELECT n FROM rows LIMIT $1", limit: 2, want: 2},
		{query: "SELECT n FROM rows LIMIT $1", limit: 1, want: 1},
		{query: "SELECT n FROM rows limit ?1", limit: 0, want: 0},
		{query: "SELECT n FROM rows LIMIT @limit", limit: sql.Named("limit", -1), want: 3},
		{query: "SELECT n FROM (SELECT n FROM rows LIMIT $1) WHERE n < 3", limit: 3, want: 2},
		{query: "SELECT n FROM rows ORDER BY n LIMIT $1 OFFSET 2", limit: 2, want: 1},
		{query: "SELECT n FROM rows LIMIT $1 - 1", limit: 3, want: 2},
	} {
		rows, err := connection.QueryContext(t.Context(), row.query, row.limit)
		if err != nil {
			t.Errorf("%s: error %v", row.query, err)
			continue
		}
		got := 0
		for rows.Next() {
			got++
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil || got != row.want {
			t.Errorf("%s with %v: rows = %d, error %v; want %d", row.query, row.limit, got, err, row.want)
		}
	}
}

// What one use of a statement has bound, the next one does not have.
func TestStatementForgetsWhatWasBound(t *testing.T) {
	t.Parallel()
	connection := statementConnection(t)
	for _, row := range []struct {
		value any
		want  string
	}{
		{value: "text", want: "text"},
		{value: nil, want: "none"},
		{value: []byte("bytes"), want: "bytes"},
		{value: 7, want: "7"},
		{value: nil, want: "none"},
	} {
		var got string
		if err := connection.QueryRowContext(t.Context(), "SELECT coalesce($1, 'none')", row.value).Scan(&got); err != nil || got != row.want {
			t.Errorf("value = %q, error %v; want %q", got, err, row.want)
		}
	}
	if err := connection.QueryRowContext(t.Context(), "SELECT coalesce($1, 'none')").Err(); err == nil {
		t.Error("error without a value = nil, want one")
	}
}

// SQLite removes its log when the last connection is closed, but does not close one that has a statement.
func TestCloseFinalizesStatements(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	db, err := database.OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Writer.ExecContext(t.Context(), "CREATE TABLE rows (n INTEGER)"); err != nil {
		t.Fatal(err)
	}
	for _, pool := range []*sql.DB{db.Writer, db.Reader} {
		var n int
		if err := pool.QueryRowContext(t.Context(), "SELECT count(*) FROM rows").Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if _, err := os.Stat(path + suffix); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("file%s after the close: error %v, want %v", suffix, err, fs.ErrNotExist)
		}
	}
}

// A commit that is not synced changes nothing for the next one, and cannot be in a transaction.
func TestWithoutSync(t *testing.T) {
	t.Parallel()
	const normal, full = 1, 2
	const setting = "SELECT synchronous FROM pragma_synchronous"
	db := databasetest.SQLite(t)
	relaxed := database.WithoutSync(t.Context())
	wantSetting := func(ctx context.Context, want int) {
		t.Helper()
		var got int
		if err := db.Writer.QueryRowContext(ctx, setting).Scan(&got); err != nil || got != want {
			t.Errorf("synchronous = %d, error %v; want %d", got, err, want)
		}
	}
	wantSetting(t.Context(), full)
	wantSetting(relaxed, normal)
	wantSetting(t.Context(), full)
	if _, err := db.Writer.ExecContext(relaxed, "CREATE TABLE rows (n INTEGER UNIQUE)"); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{"INSERT INTO rows VALUES (1)", "INSERT INTO rows VALUES (1)", "INSERT INTO none VALUES (1)"} {
		_, _ = db.Writer.ExecContext(relaxed, statement) // two of them fail
		wantSetting(t.Context(), full)
	}
	tx, err := db.Writer.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(relaxed, "INSERT INTO rows VALUES (2)"); err == nil {
		t.Error("statement in a transaction: error = nil, want one")
	}
	_ = tx.Rollback()
	wantSetting(t.Context(), full)
	if got, err := database.SelectColumn[int](t.Context(), db.Reader, "SELECT n FROM rows"); err != nil || len(got) != 1 || got[0] != 1 {
		t.Errorf("rows = %v, error %v; want [1]", got, err)
	}
}
