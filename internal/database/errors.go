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

// IsFull reports whether a statement failed because the database accepts no writes for now: its disk is full, or it is a read-only replica.
func IsFull(err error) bool {
	code := postgresCode(err)
	return sqliteCode(err) == sqliteFull || code == postgresDiskFull || code == postgresReadOnly
}

// isDamaged reports whether a statement failed because the structure of the file is damaged.
func isDamaged(err error) bool {
	code := sqliteCode(err)
	return code == sqliteCorrupt || code == sqliteNotADB
}

// IsOwnFault reports whether a statement failed because of its own values, a constraint, or a deadlock. The other operations
// of its transaction can succeed without it.
func IsOwnFault(err error) bool {
	switch sqliteCode(err) {
	case sqliteError, sqliteConstraint, sqliteMismatch, sqliteTooBig:
		return true
	}
	code := postgresCode(err)
	return len(code) == 5 && (code[:2] == postgresDataClass || code[:2] == postgresIntegrity || code[:2] == postgresRollbackClass)
}

// IsNoTransaction reports whether a rollback failed because SQLite had rolled back already.
func IsNoTransaction(err error) bool {
	return err != nil && strings.Contains(err.Error(), "no transaction is active")
}
