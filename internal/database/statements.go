package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"regexp"
	"strings"
	"sync/atomic"

	"github.com/deepimage-receiver/receiver/internal/lru"
	"modernc.org/sqlite"
)

const (
	// maxStatements is how many prepared statements a connection keeps. SQLite prepares a kept one anew when the schema has changed.
	maxStatements = 96
	// maxStatementBytes bounds the text of a kept statement, and with it the memory of one.
	maxStatementBytes = 16 << 10
)

// sqliteConnection is what each connection of the driver implements.
type sqliteConnection interface {
	driver.Conn
	sqliteRunner
	sqliteSession
}

type sqliteRunner interface {
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
}

type sqliteSession interface {
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// sqliteStatement is what each statement of the driver implements.
type sqliteStatement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

var errDriver = errors.New("database: the SQLite driver lacks a method")

// connector opens connections that keep their prepared statements.
type connector struct {
	driver.Connector

	ended *atomic.Pointer[func(committed bool)] // called at the end of each transaction, unless it is nil
	// limits finds limits that are parameters, unless it is nil. SQLite makes the plan for the value of such a limit and prepares the
	// statement anew for each other value; not so if the limit is an expression.
	limits *regexp.Regexp
}

func newConnector(dsn string) (connector, error) {
	inner, err := sqlite.NewConnector(dsn)
	return connector{Connector: inner, ended: &atomic.Pointer[func(bool)]{}}, err
}

// newWriterConnector is newConnector for statements with varying limits, such as River's, that need no plan for each.
func newWriterConnector(dsn string) (connector, error) {
	c, err := newConnector(dsn)
	c.limits = regexp.MustCompile(`(?i)\bLIMIT\s+([?$@]\w+)`)
	return c, err
}

// Connect opens a connection.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	opened, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	inner, ok := opened.(sqliteConnection)
	if !ok {
		return nil, errors.Join(errDriver, opened.Close())
	}
	return &connection{sqliteConnection: inner, connector: c, statements: lru.New[string, *statement](maxStatements)}, nil
}

// rewrite turns the limits that are parameters into expressions.
func (c connector) rewrite(query string) string {
	if c.limits == nil {
		return query
	}
	return c.limits.ReplaceAllString(query, "LIMIT ($1 + 0)")
}

// connection is a connection that prepares each statement once. database/sql never uses it from two goroutines at a time.
type connection struct {
	sqliteConnection

	connector  connector
	statements *lru.Cache[string, *statement]
	isRelaxed  bool // its commits are not synced
}

// statement is a prepared statement.
type statement struct {
	sqliteStatement

	inUse bool
	kept  bool // in the cache of its connection
}

// Unwrap returns the driver's connection.
func (c *connection) Unwrap() driver.Conn { return c.sqliteConnection }

// Close finalizes the statements first: SQLite neither closes a connection with a statement nor writes its log back.
func (c *connection) Close() error {
	for s := range c.statements.Values() {
		s.finalize()
	}
	c.statements = lru.New[string, *statement](maxStatements)
	return c.sqliteConnection.Close()
}

// BeginTx begins a transaction.
func (c *connection) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	inner, err := c.sqliteConnection.BeginTx(ctx, options)
	if err != nil {
		return nil, err
	}
	return &transaction{inner, c.connector.ended}, nil
}

// transaction reports its end.
type transaction struct {
	driver.Tx

	ended *atomic.Pointer[func(committed bool)]
}

// Commit commits the transaction.
func (t *transaction) Commit() error {
	err := t.Tx.Commit()
	t.report(err == nil)
	return err
}

// Rollback rolls the transaction back.
func (t *transaction) Rollback() error {
	defer t.report(false)
	return t.Tx.Rollback()
}

func (t *transaction) report(committed bool) {
	if ended := t.ended.Load(); ended != nil {
		(*ended)(committed)
	}
}

// withoutSync is the key of a context.
type withoutSync struct{}

// WithoutSync returns a context for a statement outside of a transaction whose commit is not synced in SQLite: a crash of the process
// loses nothing of it, a crash of the machine may. The next commit that is synced makes it durable. It has no effect in Postgres.
func WithoutSync(ctx context.Context) context.Context {
	return context.WithValue(ctx, withoutSync{}, true)
}

// relax lets the commit of the next statement of the connection be synced later, if ctx says so, until restore is called. It fails in a
// transaction.
func (c *connection) relax(ctx context.Context) (restore func(), err error) {
	if ctx.Value(withoutSync{}) == nil {
		return func() {}, nil
	}
	ctx = context.WithoutCancel(ctx)
	c.isRelaxed = true
	if _, err := c.sqliteConnection.ExecContext(ctx, "PRAGMA synchronous = NORMAL", nil); err != nil {
		return nil, err
	}
	return func() {
		_, err := c.sqliteConnection.ExecContext(ctx, "PRAGMA synchronous = FULL", nil)
		c.isRelaxed = err != nil
	}, nil
}

// IsValid reports whether the connection can be used again. One that may not sync its commits cannot.
func (c *connection) IsValid() bool { return !c.isRelaxed && c.sqliteConnection.IsValid() }

// ExecContext runs a statement that returns no rows.
func (c *connection) ExecContext(ctx context.Context, query string, arguments []driver.NamedValue) (driver.Result, error) {
	if !isKept(query) {
		return c.sqliteConnection.ExecContext(ctx, query, arguments)
	}
	s, err := c.acquire(ctx, query)
	if err != nil {
		return nil, err
	}
	defer s.release()
	restore, err := c.relax(ctx)
	if err != nil {
		return nil, err
	}
	defer restore()
	return s.ExecContext(ctx, arguments)
}

// QueryContext runs a statement that returns rows.
func (c *connection) QueryContext(ctx context.Context, query string, arguments []driver.NamedValue) (driver.Rows, error) {
	if !isKept(query) {
		return c.sqliteConnection.QueryContext(ctx, query, arguments)
	}
	s, err := c.acquire(ctx, query)
	if err != nil {
		return nil, err
	}
	restore, err := c.relax(ctx)
	if err != nil {
		s.release()
		return nil, err
	}
	rows, err := s.QueryContext(ctx, arguments)
	if err != nil {
		restore()
		s.release()
		return nil, err
	}
	return &statementRows{rows, s, restore}, nil
}

// acquire returns the prepared statement of a query. A query that runs while the rows of the same one are read gets its own.
func (c *connection) acquire(ctx context.Context, query string) (*statement, error) {
	found, ok := c.statements.Get(query)
	if ok && !found.inUse {
		found.inUse = true
		return found, nil
	}
	prepared, err := c.PrepareContext(ctx, c.connector.rewrite(query))
	if err != nil {
		return nil, err
	}
	inner, isStatement := prepared.(sqliteStatement)
	if !isStatement {
		return nil, errors.Join(errDriver, prepared.Close())
	}
	s := &statement{sqliteStatement: inner, inUse: true, kept: !ok}
	if s.kept {
		if evicted, full := c.statements.Put(query, s); full {
			evicted.evict()
		}
	}
	return s, nil
}

// evict finalizes a statement that has left the cache, at the end of its use.
func (s *statement) evict() {
	s.kept = false
	if !s.inUse {
		s.finalize()
	}
}

// release ends the use of a statement. The driver has reset it and cleared what was bound to it.
func (s *statement) release() {
	s.inUse = false
	if !s.kept {
		s.finalize()
	}
}

// finalize frees a statement. An error would be that of its last run, which was returned then.
func (s *statement) finalize() { _ = s.Close() }

// statementRows release their statement when they are closed.
type statementRows struct {
	driver.Rows

	statement *statement
	restore   func()
}

// Close ends the use of the statement.
func (r *statementRows) Close() error {
	defer r.statement.release()
	defer r.restore() // after the statement has ended, and with it its commit
	return r.Rows.Close()
}

// isKept reports whether the statement of a query is kept: one that reads or changes rows. What begins otherwise, such as PRAGMA and
// CREATE, is rare and may be a script.
func isKept(query string) bool {
	if len(query) > maxStatementBytes {
		return false
	}
	for strings.HasPrefix(query, "--") { // as each of River's does
		_, query, _ = strings.Cut(query, "\n")
	}
	query = strings.TrimLeft(query, " \t\r\n")
	for _, verb := range []string{"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"} {
		if len(query) > len(verb) && strings.EqualFold(query[:len(verb)], verb) {
			return true
		}
	}
	return false
}
