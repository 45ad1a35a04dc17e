package database_test

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
)

func openWriter(t *testing.T, place *databasetest.Place) *database.Writer {
	t.Helper()
	db := place.Open(t).Work
	if _, err := db.Writer.ExecContext(t.Context(), "CREATE TABLE counters (id TEXT PRIMARY KEY, n INTEGER NOT NULL CHECK (n >= 0))"); err != nil {
		t.Fatal(err)
	}
	w := database.NewWriter(db)
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func execute(statement string, arguments ...any) func(context.Context, *sql.Tx) error {
	return func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, statement, arguments...)
		return err
	}
}

// An operation that breaks its transaction, or is refused, fails alone: the concurrent ones are committed.
func TestWriterIsolatesFailures(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		w := openWriter(t, place)
		refused := database.Refuse("not allowed")
		rows := []struct {
			name  string
			do    func(context.Context, *sql.Tx) error
			fails bool
			want  error // that wraps this, if not nil
		}{
			{name: "insert", do: execute("INSERT INTO counters VALUES ('a', 0)")},
			{name: "another insert", do: execute("INSERT INTO counters VALUES ('b', 0)")},
			{name: "constraint", do: execute("INSERT INTO counters VALUES ('c', -1)"), fails: true},
			{name: "refusal", do: func(context.Context, *sql.Tx) error { return refused }, fails: true, want: refused},
		}
		var group sync.WaitGroup
		for _, row := range rows {
			group.Go(func() {
				err := w.Write(t.Context(), "test", row.do)
				if (err != nil) != row.fails || row.want != nil && !errors.Is(err, row.want) {
					t.Errorf("%s: error = %v, want a failure = %t, %v", row.name, err, row.fails, row.want)
				}
			})
		}
		group.Wait()
		var n int
		if err := w.DB.Reader.QueryRowContext(t.Context(), "SELECT count(*) FROM counters").Scan(&n); err != nil || n != 2 {
			t.Errorf("rows = %d, error %v; want 2", n, err)
		}
		if w.Commits() == 0 {
			t.Error("commits = 0, want at least 1")
		}
	})
}

// WriteRow locks its row, so that concurrent operations do not lose updates.
func TestWriterLocksTheRow(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		w := openWriter(t, place)
		if rows, err := w.Exec(t.Context(), "INSERT INTO counters VALUES ('a', 0)"); err != nil || rows != 1 {
			t.Fatalf("Exec = %d rows, error %v; want 1", rows, err)
		}
		const operations = 50
		var group sync.WaitGroup
		for range operations {
			group.Go(func() {
				err := w.WriteRow(t.Context(), "test", "counters", "a", func(ctx context.Context, tx *sql.Tx) error {
					var n int
					if err := tx.QueryRowContext(ctx, "SELECT n FROM counters WHERE id = 'a'").Scan(&n); err != nil {
						return err
					}
					_, err := tx.ExecContext(ctx, "UPDATE counters SET n = $1 WHERE id = 'a'", n+1)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		var n int
		if err := w.DB.Reader.QueryRowContext(t.Context(), "SELECT n FROM counters").Scan(&n); err != nil || n != operations {
			t.Errorf("counter = %d, error %v; want %d", n, err, operations)
		}
	})
}

// Operations of one transaction lock their rows in several tables together.
func TestWriterLocksRowsOfSeveralTables(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		w := openWriter(t, place)
		for _, statement := range []string{
			"CREATE TABLE others (id TEXT PRIMARY KEY, n INTEGER NOT NULL)",
			"INSERT INTO counters VALUES ('a', 0), ('b', 0), ('c', 0)", "INSERT INTO others VALUES ('a', 0), ('b', 0), ('c', 0)",
		} {
			if _, err := w.Exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		const rounds = 10
		var group sync.WaitGroup
		for range rounds {
			for _, id := range []string{"c", "a", "b"} {
				for _, table := range []string{"others", "counters"} {
					group.Go(func() {
						err := w.WriteRow(t.Context(), "test", table, id, func(ctx context.Context, tx *sql.Tx) error {
							var n int
							if err := tx.QueryRowContext(ctx, "SELECT n FROM "+table+" WHERE id = $1", id).Scan(&n); err != nil {
								return err
							}
							return execute("UPDATE "+table+" SET n = $1 WHERE id = $2", n+1, id)(ctx, tx)
						})
						if err != nil {
							t.Error(err)
						}
					})
				}
			}
		}
		group.Wait()
		var lowest, highest int
		err := w.DB.Reader.QueryRowContext(t.Context(), `SELECT min(n), max(n) FROM (SELECT n FROM counters UNION ALL SELECT n FROM others) AS every`).
			Scan(&lowest, &highest)
		if err != nil || lowest != rounds || highest != rounds {
			t.Errorf("counters = %d to %d, error %v; want %d", lowest, highest, err, rounds)
		}
	})
}

func TestInsertManyRows(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		w := openWriter(t, place)
		const rows = 1201 // more than two statements
		insert := database.Insert{Into: "counters (id, n)", Columns: 2, Suffix: " RETURNING id"}
		for n := range rows {
			insert.Add(string(rune('A'+n)), n)
		}
		returned := 0
		err := w.Write(t.Context(), "test", func(ctx context.Context, tx *sql.Tx) error {
			return insert.Run(ctx, tx, func(r *database.Rows) error {
				returned++
				var id string
				return r.Scan(&id)
			})
		})
		if err != nil || returned != rows {
			t.Errorf("returned %d rows, error %v; want %d", returned, err, rows)
		}
	})
}

func TestSanitizeText(t *testing.T) {
	t.Parallel()
	rows := map[string]string{"": "", "plain ü": "plain ü", "a\x00b": "a\uFFFDb", "a\xffb": "a\uFFFDb"}
	for text, want := range rows {
		if got := database.SanitizeText(text); got != want {
			t.Errorf("SanitizeText(%q) = %q, want %q", text, got, want)
		}
	}
}
