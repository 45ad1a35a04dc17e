package database

import (
	"errors"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Config says where events are kept. What is not about URL counts for Postgres alone.
type Config struct {
	URL              secret.Value  `envconfig:"URL" unset:"sqlite:// and DATA_DIR" desc:"where events are kept: sqlite:// and a folder, in which inbox.db and work.db are; or postgres://user:password@host/database with the options of libpq, such as sslmode and sslrootcert"`
	DirectURL        secret.Value  `envconfig:"DIRECT_URL" unset:"DATABASE_URL" desc:"the same Postgres database around a pooler such as PgBouncer, when DATABASE_URL leads through one: workers listen and schemas are migrated there"`
	MaxConnections   int           `envconfig:"MAX_CONNECTIONS" default:"24" range:"12..1000" desc:"connections to Postgres that this process opens at most: a quarter for accepting, a quarter for the queue, half for the rest"`
	StatementTimeout time.Duration `envconfig:"STATEMENT_TIMEOUT" default:"30s" range:"1s..10m" desc:"time after which Postgres gives up a statement; through a pooler the setting of the role counts"`
}

// IsPostgres says that the events are in Postgres.
func (c Config) IsPostgres() bool { return isPostgres(c.URL.Reveal()) }

func isPostgres(url string) bool {
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
}

var errNotPostgres = errors.New("must be postgres://user:password@host/database")

// CheckPostgres says what is wrong with the text of a Postgres URL, without repeating it.
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

// direct is the URL around any pooler.
func (c Config) direct() secret.Value {
	if c.DirectURL.IsZero() {
		return c.URL
	}
	return c.DirectURL
}
