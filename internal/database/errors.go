package database

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
)

// Codes of SQLite, https://www.sqlite.org/rescode.html.
const (
	sqliteError      = 1 // such as a missing table
	sqliteCorrupt    = 11
	sqliteFull       = 13
	sqliteConstraint = 19
	sqliteMismatch   = 20
	sqliteTooBig     = 18
	sqliteNotADB     = 26
)

// Codes of Postgres, https://www.postgresql.org/docs/current/errcodes-appendix.html.
const (
	postgresNoTable       = "42P01"
	postgresDiskFull      = "53100"
	postgresReadOnly      = "25006"
	postgresDataClass     = "22" // a value that cannot be stored
	postgresIntegrity     = "23" // a constraint
	postgresRollbackClass = "40" // a deadlock, say
)

func sqliteCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

func postgresCode(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

func isMissingTable(err error) bool {
	return sqliteCode(err) == sqliteError || postgresCode(err) == postgresNoTable
}

// IsFull says that a statement failed because the database takes no writes for now: there
// is no room left on its disk, or it is a read-only copy.
func IsFull(err error) bool {
	code := postgresCode(err)
	return sqliteCode(err) == sqliteFull || code == postgresDiskFull || code == postgresReadOnly
}

// isDamaged reports whether a statement failed because the structure of the file is damaged.
func isDamaged(err error) bool {
	code := sqliteCode(err)
	return code == sqliteCorrupt || code == sqliteNotADB
}

// IsOwnFault says that what a statement asked for was at fault, or that it was the one to
// yield to another transaction: whatever shared a transaction with it can succeed without it.
func IsOwnFault(err error) bool {
	switch sqliteCode(err) {
	case sqliteError, sqliteConstraint, sqliteMismatch, sqliteTooBig:
		return true
	}
	code := postgresCode(err)
	return len(code) == 5 && (code[:2] == postgresDataClass || code[:2] == postgresIntegrity || code[:2] == postgresRollbackClass)
}

// IsNoTransaction says that a rollback found nothing to roll back, because SQLite had done it by itself.
func IsNoTransaction(err error) bool {
	return err != nil && strings.Contains(err.Error(), "no transaction is active")
}
