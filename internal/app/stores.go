package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/work"
)

// stores are the two database files of the embedded default. The inbox has one
// of its own, so that nothing that goes on in the other makes an answer wait.
type stores struct {
	inbox *database.SQLite
	work  *database.SQLite
}

// openStores opens both files and brings their schemas up to date.
func openStores(ctx context.Context, folder *dataFolder) (*stores, []Migration, error) {
	inboxFile, err := database.OpenSQLite(ctx, folder.file(inboxName))
	if err != nil {
		return nil, nil, err
	}
	workFile, err := database.OpenSQLite(ctx, folder.file(workName))
	if err != nil {
		return nil, nil, errors.Join(err, inboxFile.Close())
	}
	s := &stores{inbox: inboxFile, work: workFile}
	migrations, err := s.migrate(ctx)
	if err == nil {
		err = folder.sync()
	}
	if err != nil {
		return nil, nil, errors.Join(err, s.close())
	}
	return s, migrations, nil
}

// Migration is a store and the version its schema has.
type Migration struct {
	Store   string `json:"store"`
	Version int64  `json:"version"`
}

func (s *stores) migrate(ctx context.Context) ([]Migration, error) {
	var done []Migration
	for _, store := range []struct {
		name    string
		migrate func(context.Context, *database.SQLite) (int64, error)
		file    *database.SQLite
	}{
		{"inbox", inbox.Migrate, s.inbox},
		{"work", work.Migrate, s.work},
		{"queue", queue.Migrate, s.work},
	} {
		version, err := store.migrate(ctx, store.file)
		if err != nil {
			return done, fmt.Errorf("app: %s: %w", store.name, err)
		}
		done = append(done, Migration{Store: store.name, Version: version})
	}
	return done, nil
}

func (s *stores) close() error { return errors.Join(s.inbox.Close(), s.work.Close()) }
