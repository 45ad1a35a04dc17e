package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/schema"
)

// WithTargets lets do look at the targets of a receiver, and enable or disable them, whether it is running or
// not. It changes no schema and, embedded, makes no file: a running receiver sees the
// change at the next step of the target.
func WithTargets(ctx context.Context, c config.Config, do func(context.Context, *WorkStores) error) (err error) {
	db, closeAll, err := openBeside(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	if err := checkVersion(ctx, db, "work", schema.Version()); err != nil {
		return err
	}
	store := newWorkStores(db, nil) // no step is handed out here
	defer func() { err = errors.Join(err, store.Close()) }()
	return do(ctx, store)
}

// openBeside opens the work store without the data folder, which a running receiver has for itself.
func openBeside(ctx context.Context, c config.Config) (*database.DB, func() error, error) {
	if c.Database.IsPostgres() {
		server, err := database.OpenServer(ctx, c.Database)
		if err != nil {
			return nil, nil, err
		}
		return server.Work, server.Close, nil
	}
	path := c.WorkFile()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("app: there is no receiver's work store at %s yet", path)
	}
	db, err := database.OpenSQLite(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	return db, db.Close, nil
}
