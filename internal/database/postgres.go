package database

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// OldestPostgres is the oldest major version of Postgres that is supported.
const OldestPostgres = 13

const (
	// startTimeout is how long a server that is not reachable is retried at start, because it may be starting too.
	startTimeout = 30 * time.Second
	startPause   = 250 * time.Millisecond

	connectTimeout = 5 * time.Second
	// idleInTransaction is the time after which the server ends an idle transaction, so that a stopped process does
	// not keep its locks.
	idleInTransaction = 10 * time.Second
	// connectionLifetime bounds a connection, so that connections move to another server after a failover or behind a load balancer.
	connectionLifetime = time.Hour
)

// Server is one Postgres database that holds all stores. The inbox has connections of its own, so that an
// acknowledgement never waits for a connection that a worker uses.
type Server struct {
	Inbox *DB
	Work  *DB
	Queue *DB // through no pooler, because River listens on it
}

// OpenServer opens the pools of the database in config. It retries an unreachable server for half a minute, and refuses a server
// that does not sync commits.
func OpenServer(ctx context.Context, config Config) (*Server, error) {
	quarter := config.MaxConnections / 4
	s := &Server{}
	for _, part := range []struct {
		to          **DB
		pooled      bool
		connections int
	}{
		{&s.Inbox, true, quarter},
		{&s.Queue, false, quarter},
		{&s.Work, true, config.MaxConnections - 2*quarter},
	} {
		db, err := openPostgres(ctx, config, part.pooled, part.connections, config.StatementTimeout)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		*part.to = db
	}
	shared := &clock{}
	s.Inbox.clock, s.Work.clock, s.Queue.clock = shared, shared, shared
	reading, err := s.Queue.ReadClock(ctx)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.Queue.AdoptClock(reading)
	return s, nil
}

// Close closes all pools.
func (s *Server) Close() error {
	var err error
	for _, db := range []*DB{s.Work, s.Queue, s.Inbox} {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
	}
	return err
}

// openPostgres opens a pool, through the pooler if there is one and pooled is true, and checks the server.
func openPostgres(ctx context.Context, config Config, pooled bool, connections int, statementTimeout time.Duration) (*DB, error) {
	settings, err := poolSettings(config, pooled, connections, statementTimeout)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, settings)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	err = config.await(ctx, pool)
	if behindPooler := pooled && !config.DirectURL.IsZero(); err == nil && !behindPooler {
		err = config.findPooler(ctx, pool)
	}
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("database: %w", config.explain(err))
	}
	db := stdlib.OpenDBFromPool(pool)
	db.SetMaxIdleConns(0) // the pool below keeps them
	return &DB{Kind: Postgres, Writer: db, Reader: db, Pool: pool, Pooler: pooled && !config.DirectURL.IsZero()}, nil
}

func poolSettings(config Config, pooled bool, connections int, statementTimeout time.Duration) (*pgxpool.Config, error) {
	url := config.direct()
	if pooled {
		url = config.URL
	}
	settings, err := pgxpool.ParseConfig(url.Reveal())
	if err != nil {
		return nil, errors.New("database: the URL cannot be read")
	}
	settings.MaxConns = int32(connections)
	settings.MaxConnLifetime, settings.MaxConnLifetimeJitter = connectionLifetime, connectionLifetime/10
	connection := settings.ConnConfig
	if connection.ConnectTimeout == 0 {
		connection.ConnectTimeout = connectTimeout
	}
	connection.DialFunc = (&net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}).DialContext
	if pooled && !config.DirectURL.IsZero() {
		// Behind a pooler the next statement may run on another server connection, which lacks the statements prepared
		// on this one. A pooler also refuses unknown settings.
		connection.DefaultQueryExecMode = pgx.QueryExecModeExec
		connection.StatementCacheCapacity, connection.DescriptionCacheCapacity = 0, 0
		return settings, nil
	}
	settings.AfterConnect = keepSynchronous
	setUnlessGiven(connection.RuntimeParams, map[string]string{
		"application_name":                    "receiver",
		"statement_timeout":                   milliseconds(statementTimeout),
		"idle_in_transaction_session_timeout": milliseconds(idleInTransaction),
		// The server notices a lost connection within half a minute and releases its locks.
		"tcp_keepalives_idle":     "10",
		"tcp_keepalives_interval": "5",
		"tcp_keepalives_count":    "3",
	})
	return settings, nil
}

// SetSynchronous is the statement by which a commit waits for its sync also where the server, or a change of its configuration after
// the start, says otherwise. $1 limits it to the transaction. A stricter setting stays.
const SetSynchronous = `SELECT set_config('synchronous_commit',
	CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, $1)`

// keepSynchronous applies SetSynchronous to a new connection.
func keepSynchronous(ctx context.Context, connection *pgx.Conn) error {
	_, err := connection.Exec(ctx, SetSynchronous, false)
	return err
}

func setUnlessGiven(parameters, defaults map[string]string) {
	for name, value := range defaults {
		if _, given := parameters[name]; !given {
			parameters[name] = value
		}
	}
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// await checks the server as soon as it is reachable.
func (c Config) await(ctx context.Context, pool *pgxpool.Pool) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	timer := time.NewTimer(startPause)
	defer timer.Stop()
	for {
		err := c.checkServer(ctx, pool)
		if err == nil || !isUnreachable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-timer.C:
			timer.Reset(startPause)
		}
	}
}

// isUnreachable reports whether the server may become reachable, so that a retry makes sense.
func isUnreachable(err error) bool {
	const startingUp, tooManyConnections = "57P03", "53300"
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		return false
	}
	switch postgresCode(err) {
	case "", startingUp, tooManyConnections:
		_, connecting := errors.AsType[*pgconn.ConnectError](err)
		return connecting
	}
	return false
}

// checkServer returns an error if the server is too old or does not sync commits.
func (c Config) checkServer(ctx context.Context, pool *pgxpool.Pool) error {
	var version int
	var synchronous, fsync string
	// reset_val is the setting of the server and the URL, before keepSynchronous.
	err := pool.QueryRow(ctx, `SELECT current_setting('server_version_num')::int,
		(SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'), current_setting('fsync')`).Scan(&version, &synchronous, &fsync)
	switch {
	case err != nil:
		return err
	case version/10000 < OldestPostgres:
		return fmt.Errorf("the server is Postgres %d; %d is the oldest that is supported", version/10000, OldestPostgres)
	case synchronous == "off":
		return &serverRefusal{ErrNotSynced, "the server has synchronous_commit = off, so it would acknowledge commits before they are synced; " +
			"set it for the role: ALTER ROLE ... SET synchronous_commit = on"}
	case fsync == "off" && !c.AcceptFsyncOff:
		return &serverRefusal{ErrNotSynced, "the server has fsync = off, so a crash can lose commits that it acknowledged; turn it on. " +
			"Only for a server whose storage syncs by itself, such as Neon, set RECEIVER_DATABASE_ACCEPT_FSYNC_OFF=true"}
	}
	return nil
}

// CheckServer connects as a receiver would, with and without the pooler, and describes the server and the versions of the stores'
// schemas. It changes nothing.
func CheckServer(ctx context.Context, config Config, stores ...string) (string, error) {
	const connections = probes
	var text string
	for _, pooled := range []bool{false, true} {
		db, err := openPostgres(ctx, config, pooled, connections, config.StatementTimeout)
		if err != nil {
			return "", err
		}
		text, err = describe(ctx, db, stores)
		if config.AcceptFsyncOff {
			text += "; a server with fsync = off is accepted"
		}
		err = config.explain(err)
		if err := errors.Join(err, db.Close()); err != nil {
			return "", fmt.Errorf("database: %w", err)
		}
		if config.DirectURL.IsZero() {
			break
		}
	}
	return text, nil
}

func describe(ctx context.Context, db *DB, stores []string) (string, error) {
	var version string
	if err := db.Pool.QueryRow(ctx, "SELECT current_setting('server_version')").Scan(&version); err != nil {
		return "", err
	}
	var text strings.Builder
	isNew := false
	text.WriteString("Postgres " + version + " answers; schema versions:")
	for _, store := range stores {
		found, err := Version(ctx, db.Reader, Postgres, store)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&text, " %s %d", store, found)
		isNew = isNew || found == 0
	}
	if isNew {
		return text.String(), checkRights(ctx, db.Pool)
	}
	return text.String(), nil
}

// migrationLock is the key of the advisory lock under which schemas are migrated: "receiver" as a number.
const migrationLock = 0x7265636569766572

// MigrateServer calls migrate under a lock: replicas that start together wait for each other. Statements
// of migrate have no timeout.
func MigrateServer(ctx context.Context, config Config, migrate func(ctx context.Context, db *DB) error) (err error) {
	const connections = probes // one for the lock, and spares for goose and River
	db, err := openPostgres(ctx, config, false, connections, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	lock, err := db.Pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	defer func() { _ = lock.Hijack().Close(context.WithoutCancel(ctx)) }() // closing the connection releases the lock
	if _, err := lock.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(migrationLock)); err != nil {
		return fmt.Errorf("database: wait for other migrations: %w", err)
	}
	if err := migrate(ctx, db); err != nil {
		return cmp.Or(checkRights(ctx, db.Pool), config.explain(err))
	}
	return nil
}
