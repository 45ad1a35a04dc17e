package queue

import (
	"context"
	"embed"
	"fmt"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
)

//go:embed migrations
var migrations embed.FS

// Migrate brings River's tables up to date, in Postgres also that of the heartbeats. It returns the version of River's tables.
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

// CheckSchema returns an error if River's tables are not at the version of this program. It changes nothing.
func CheckSchema(ctx context.Context, db *database.DB) error {
	if db.Kind == database.SQLite {
		migrator, err := rivermigrate.New(riversqlite.New(db.Writer), nil)
		if err != nil {
			return fmt.Errorf("queue: migrations: %w", err)
		}
		return validate(ctx, migrator)
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(db.Pool), nil)
	if err != nil {
		return fmt.Errorf("queue: migrations: %w", err)
	}
	return validate(ctx, migrator)
}

func validate[T any](ctx context.Context, migrator *rivermigrate.Migrator[T]) error {
	result, err := migrator.Validate(ctx, nil)
	if err != nil {
		return fmt.Errorf("queue: schema: %w", err)
	}
	if !result.OK {
		return fmt.Errorf("queue: the schema is not up to date (%s). Run \"receiver migrate\"", strings.Join(result.Messages, ", "))
	}
	return nil
}
