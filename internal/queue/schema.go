package queue

import (
	"context"
	"fmt"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
)

// CheckSchema says whether River's tables are as this program knows them, and changes nothing.
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
	found, err := migrator.Validate(ctx, nil)
	if err != nil {
		return fmt.Errorf("queue: schema: %w", err)
	}
	if !found.OK {
		return fmt.Errorf("queue: the schema is not up to date (%s); \"receiver migrate\" brings it there", strings.Join(found.Messages, ", "))
	}
	return nil
}
