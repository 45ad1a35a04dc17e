package database

import (
	"errors"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Config is the configuration of the databases. All but URL is for Postgres only.
type Config struct {
	URL              secret.Value  `envconfig:"URL" unset:"sqlite:// and DATA_DIR" desc:"database of the events: sqlite:// and a folder for inbox.db and work.db; or postgres://user:password@host/database with options of libpq, such as sslmode and sslrootcert"`
	DirectURL        secret.Value  `envconfig:"DIRECT_URL" unset:"DATABASE_URL" desc:"direct URL of the same Postgres database, if DATABASE_URL leads through a pooler such as PgBouncer; for listening workers and for migrations"`
	AcceptFsyncOff   bool          `envconfig:"ACCEPT_FSYNC_OFF" default:"false" desc:"accept a Postgres server with fsync = off, such as Neon, whose storage syncs by itself; with any other server a crash loses events that were acknowledged"`
	MaxConnections   int           `envconfig:"MAX_CONNECTIONS" default:"24" range:"12..1000" desc:"maximum number of connections of this process to Postgres: a quarter for accepting, a quarter for the queue, half for the rest"`
	StatementTimeout time.Duration `envconfig:"STATEMENT_TIMEOUT" default:"30s" range:"1s..10m" desc:"time after which Postgres cancels a statement; through a pooler the setting of the role applies"`
}

// IsPostgres reports whether the events are in Postgres.
func (c Config) IsPostgres() bool { return isPostgres(c.URL.Reveal()) }

func isPostgres(url string) bool {
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
}

var errNotPostgres = errors.New("must be postgres://user:password@host/database")

// CheckPostgres returns what is wrong with a Postgres URL, without repeating it.
func CheckPostgres(url secret.Value) error {
	if !isPostgres(url.Reveal()) {
		return errNotPostgres
	}
	if _, err := pgxpool.ParseConfig(url.Reveal()); err != nil {
		return errors.New("cannot be read as postgres://user:password@host/database with options of libpq; " +
			"a password in it must be percent-encoded, files that it names must exist")
	}
	return nil
}

// direct returns the URL that leads through no pooler.
func (c Config) direct() secret.Value {
	if c.DirectURL.IsZero() {
		return c.URL
	}
	return c.DirectURL
}
