// Package schema holds the schema of the work database, which the packages workflow, history, jobs, replay and admin share.
package schema

import (
	"context"
	"embed"

	"github.com/deepimage-receiver/receiver/internal/database"
)

//go:embed migrations
var migrations embed.FS

// Migrate brings the schema of the work database up to date and returns its version.
func Migrate(ctx context.Context, db *database.DB) (int64, error) {
	return db.Migrate(ctx, migrations, "work")
}

// Version returns the version to which Migrate brings the schema. It is the same for both kinds of databases.
func Version() int64 { return database.NewestVersion(migrations, database.SQLite) }
