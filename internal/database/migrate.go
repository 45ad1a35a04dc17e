package database

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	goosedatabase "github.com/pressly/goose/v3/database"
)

// Migrate brings the schema of one store up to date and returns its version. The migrations are the numbered .sql files
// in the folder named after the kind of the database; each runs in a transaction of its own. A schema that is newer than the
// program is an error. In Postgres several stores share the database, and each has its own version table. MigrateServer
// serializes migrations.
func (db *DB) Migrate(ctx context.Context, migrations fs.FS, store string) (int64, error) {
	files, err := fs.Sub(migrations, "migrations/"+db.Kind.String())
	if err != nil {
		return 0, fmt.Errorf("database: migrations: %w", err)
	}
	provider, err := db.provider(files, store)
	if err != nil {
		return 0, fmt.Errorf("database: migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return 0, fmt.Errorf("database: migrate: %w", err)
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return 0, fmt.Errorf("database: schema version: %w", err)
	}
	if current > target {
		return current, fmt.Errorf("database: the schema is at version %d, this program knows up to %d: it was written by a newer release", current, target)
	}
	return current, nil
}

func (db *DB) provider(files fs.FS, store string) (*goose.Provider, error) {
	if db.Kind == SQLite {
		return goose.NewProvider(goose.DialectSQLite3, db.Writer, files)
	}
	versions, err := goosedatabase.NewStore(goosedatabase.DialectPostgres, versionTable(db.Kind, store))
	if err != nil {
		return nil, err
	}
	return goose.NewProvider("", db.Writer, files, goose.WithStore(versions))
}

func versionTable(kind Kind, store string) string {
	if kind == SQLite {
		return goose.DefaultTablename
	}
	return store + "_migrations"
}

// Version returns the version of a store's schema, 0 if there is none yet. It changes nothing.
func Version(ctx context.Context, reader *sql.DB, kind Kind, store string) (int64, error) {
	var version sql.NullInt64
	err := reader.QueryRowContext(ctx, "SELECT max(version_id) FROM "+versionTable(kind, store)+" WHERE is_applied").Scan(&version)
	if err != nil && isMissingTable(err) {
		return 0, nil
	}
	return version.Int64, err
}

// NewestVersion returns the version to which Migrate brings a schema: the number of the last file.
func NewestVersion(migrations fs.FS, kind Kind) (newest int64) {
	files, _ := fs.Glob(migrations, "migrations/"+kind.String()+"/*.sql") // the pattern is right
	for _, name := range files {
		if number, err := goose.NumericComponent(name); err == nil {
			newest = max(newest, number)
		}
	}
	return newest
}

// String returns the name of the kind, which is also the folder of its migrations.
func (k Kind) String() string {
	if k == Postgres {
		return "postgres"
	}
	return "sqlite"
}
