// Package database opens the databases with the settings that make them durable, migrates their schemas, and runs write
// transactions with group commit. It is the only package that links a database driver.
package database

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Kind is the kind of a database. The statements of the stores run on both kinds; their parameters are $1, $2 and so on.
type Kind int

// The kinds.
const (
	SQLite   Kind = iota // a file that one process uses alone
	Postgres             // a server that many replicas share
)

// DB is one database with the pools through which it is used.
type DB struct {
	Kind   Kind
	Writer *sql.DB // SQLite: one connection, whose transactions begin immediate
	Reader *sql.DB // SQLite: several, read only; Postgres: the same pool as Writer

	// Pool is what Writer is made of, in Postgres; nil otherwise.
	Pool *pgxpool.Pool
	// Pooler is set where a pooler is in between, so that what is set for a session holds for no longer than a transaction.
	Pooler bool

	path      string                                // SQLite: of the file
	ended     *atomic.Pointer[func(committed bool)] // SQLite: see OnEnd
	unchecked bool                                  // SQLite: see Check
	clock     *clock                                // nil for the clock of this machine
}

// OnEnd sets what is called at the end of each transaction of Writer, in SQLite only: there one is open at a time. It must be quick.
// Statements outside of transactions do not call it.
func (db *DB) OnEnd(ended func(committed bool)) { db.ended.Store(&ended) }

// Close closes the pools. In SQLite it writes the log back into the file first, so that a copy of the file alone has everything.
func (db *DB) Close() error {
	var err error
	if db.Reader != db.Writer {
		err = db.Reader.Close()
	}
	if db.Kind == SQLite {
		err = errors.Join(err, checkpoint(db.Writer))
	}
	err = errors.Join(err, db.Writer.Close())
	if db.Pool != nil {
		db.Pool.Close()
	}
	return err
}

// Lock locks the row of table with this id until the end of the transaction. SQLite has one writer, which needs no lock.
func (db *DB) Lock(ctx context.Context, tx *sql.Tx, table, id string) error {
	if db.Kind == SQLite {
		return nil
	}
	//nolint:gosec // table is a constant of the caller
	_, err := tx.ExecContext(ctx, "SELECT 1 FROM "+table+" WHERE id = $1 FOR UPDATE", id)
	return err
}

// Values returns the parameters of a multi-row insert: ($1,$2),($3,$4) for 2 rows of 2 columns.
func Values(rows, columns int) string {
	text := make([]byte, 0, rows*(columns*5+3))
	for n := range rows * columns {
		switch {
		case n == 0:
			text = append(text, '(')
		case n%columns == 0:
			text = append(text, "),("...)
		default:
			text = append(text, ',')
		}
		text = append(text, '$')
		text = strconv.AppendInt(text, int64(n+1), 10)
	}
	return string(append(text, ')'))
}
