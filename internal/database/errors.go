package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/groupcommit"
	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
)

// Codes of SQLite, https://www.sqlite.org/rescode.html.
const (
	sqliteError      = 1 // such as a missing table
	sqliteBusy       = 5
	sqliteReadOnly   = 8
	sqliteIO         = 10
	sqliteCorrupt    = 11
	sqliteFull       = 13
	sqliteCantOpen   = 14
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
	postgresConnection    = "08"
	postgresResources     = "53" // disk, memory or connections
	postgresOperator      = "57" // it shuts down, starts, or cancels statements
	postgresSystem        = "58" // input or output failed
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

// IsUnavailable reports whether an operation failed because the database cannot be used for now: it is not reachable, starts, stops,
// lacks resources, or did not answer in time.
func IsUnavailable(err error) bool {
	switch sqliteCode(err) {
	case sqliteBusy, sqliteReadOnly, sqliteIO, sqliteFull, sqliteCantOpen:
		return true
	}
	if code := postgresCode(err); code != "" {
		class := code[:min(2, len(code))]
		return code == postgresReadOnly || slices.Contains([]string{postgresConnection, postgresResources, postgresOperator, postgresSystem}, class)
	}
	for _, lost := range []error{
		driver.ErrBadConn, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, context.DeadlineExceeded, groupcommit.ErrTimeout, groupcommit.ErrClosed,
	} {
		if errors.Is(err, lost) {
			return true
		}
	}
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	_, network := errors.AsType[net.Error](err)
	return connecting || network || err != nil && pgconn.SafeToRetry(err) // such as a connection that was closed before
}

// IsIO reports whether SQLite failed to read or write a file. It has no other code where a full disk keeps it from opening one.
func IsIO(err error) bool { return sqliteCode(err) == sqliteIO }

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
