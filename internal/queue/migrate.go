package queue

import (
	"context"
	"embed"
	"fmt"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
)

//go:embed migrations
var migrations embed.FS

// Migrate brings River's tables up to date, and in Postgres that of the replicas beside
// them, and returns the version of River's.
func Migrate(ctx context.Context, db *database.DB) (int64, error) {
	if db.Kind == database.SQLite {
		migrator, err := rivermigrate.New(riversqlite.New(db.Writer), nil)
		if err != nil {
			return 0, fmt.Errorf("queue: migrations: %w", err)
		}
		return migrateRiver(ctx, migrator)
	}
	if _, err := db.Migrate(ctx, migrations, "queue"); err != nil {
		return 0, err
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(db.Pool), nil)
	if err != nil {
		return 0, fmt.Errorf("queue: migrations: %w", err)
	}
	return migrateRiver(ctx, migrator)
}

func migrateRiver[T any](ctx context.Context, migrator *rivermigrate.Migrator[T]) (int64, error) {
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return 0, fmt.Errorf("queue: migrate: %w", err)
	}
	versions, err := migrator.ExistingVersions(ctx)
	if err != nil || len(versions) == 0 {
		return 0, fmt.Errorf("queue: schema version: %w", err)
	}
	return int64(versions[len(versions)-1].Version), nil
}
