package database

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Refusals that a person can resolve. Their texts say how.
var (
	ErrPooler    = errors.New("a pooler is in between")
	ErrNotSynced = errors.New("commits are not synced")
	ErrNoRights  = errors.New("the role lacks rights")
)

// serverRefusal is an error with a text of its own that is one of the errors above.
type serverRefusal struct {
	is   error
	text string
}

func (r *serverRefusal) Error() string { return r.text }

func (r *serverRefusal) Unwrap() error { return r.is }

// poolerRefusal returns the refusal of a URL that leads through a pooler.
func (c Config) poolerRefusal() error {
	if !c.DirectURL.IsZero() {
		return &serverRefusal{ErrPooler, "RECEIVER_DATABASE_DIRECT_URL leads through a pooler, such as PgBouncer; it must lead to the Postgres server itself"}
	}
	return &serverRefusal{ErrPooler, "RECEIVER_DATABASE_URL leads through a pooler, such as PgBouncer; " +
		"set RECEIVER_DATABASE_DIRECT_URL to the URL of the Postgres server itself, beside it"}
}

// explain returns the refusal of a pooler for an error that only a pooler causes, and other errors as they are.
func (c Config) explain(err error) error {
	failed, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err
	}
	const protocolViolation, duplicateStatement, noStatement = "08P01", "42P05", "26000"
	isParameter := failed.Code == protocolViolation && strings.Contains(failed.Message, "startup parameter")
	if isParameter || failed.Code == duplicateStatement || failed.Code == noStatement {
		return fmt.Errorf("%w (%s, SQLSTATE %s)", c.poolerRefusal(), failed.Message, failed.Code)
	}
	return err
}

// probes is the number of connections with which findPooler looks for a pooler.
const probes = 3

// findPooler returns a refusal if connections share a session of the server, or if one of them changes its session.
func (c Config) findPooler(ctx context.Context, pool *pgxpool.Pool) error {
	var connections []*pgxpool.Conn
	defer func() {
		for _, connection := range connections {
			connection.Release()
		}
	}()
	var sessions []uint32
	for n := range 2 * probes {
		if n < probes {
			connection, err := pool.Acquire(ctx)
			if err != nil {
				return err
			}
			connections = append(connections, connection)
		}
		var session uint32
		// The simple protocol prepares no statement, which would fail at another session.
		err := connections[n%probes].QueryRow(ctx, "SELECT pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&session)
		switch {
		case err != nil:
			return err
		case n < probes && slices.Contains(sessions, session), n >= probes && sessions[n%probes] != session:
			return c.poolerRefusal()
		}
		sessions = append(sessions, session)
	}
	return nil
}

// checkRights returns a refusal if the role may not create tables.
func checkRights(ctx context.Context, pool *pgxpool.Pool) error {
	var role, schema string
	var allowed bool
	err := pool.QueryRow(ctx, `SELECT quote_ident(current_user), quote_ident(name), has_schema_privilege(name, 'USAGE') AND has_schema_privilege(name, 'CREATE')
		FROM (SELECT coalesce(current_schema(), 'public') AS name) AS found`).Scan(&role, &schema, &allowed)
	if err != nil || allowed {
		return err
	}
	return &serverRefusal{ErrNoRights, fmt.Sprintf("the role %[1]s may not create tables in the schema %[2]s, as is usual since Postgres 15; "+
		"run as the owner of the database: GRANT USAGE, CREATE ON SCHEMA %[2]s TO %[1]s", role, schema)}
}
