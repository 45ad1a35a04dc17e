package app

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/schema"
	"github.com/deepimage-receiver/receiver/internal/filesystem"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/relay"
	"golang.org/x/sync/errgroup"
)

// stores are the migrated databases of inbox, workflow and queue. Embedded, the inbox has its own file, so that the
// workflow never delays a callback. In Postgres all are one database.
type stores struct {
	inbox    *database.DB
	work     *database.DB
	queue    *database.DB
	versions []Migration
	match    relay.Match // how the two files of SQLite belong together
	folder   *dataFolder // of the files of SQLite; nil with Postgres
	fixed    []string    // files of SQLite that do not shrink
	cleanups cleanups
}

// Migration is the schema version of a store.
type Migration struct {
	Store   string `json:"store"`
	Version int64  `json:"version"`
}

// openStores opens the configured stores and migrates them.
func openStores(ctx context.Context, c config.Config) (*stores, error) {
	s := &stores{}
	open := s.openFiles
	if c.Database.IsPostgres() {
		open = s.openServer
	}
	if err := open(ctx, c); err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	return s, nil
}

// openFound opens existing stores without migrating them. Their schemas must have the version of this program.
func openFound(ctx context.Context, c config.Config) (*stores, error) {
	s := &stores{}
	open := s.openFoundFiles
	if c.Database.IsPostgres() {
		open = s.connect
	}
	err := open(ctx, c)
	if err == nil {
		err = s.check(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	return s, nil
}

func (s *stores) openFiles(ctx context.Context, c config.Config) error {
	if err := s.openFolder(ctx, c, maxCompacted); err != nil {
		return err
	}
	if err := s.migrate(ctx, s.inbox, s.work); err != nil {
		return err
	}
	var err error
	if s.match, err = relay.MatchStores(ctx, s.inbox, s.work); err != nil {
		return err
	}
	return s.folder.sync()
}

func (s *stores) openFoundFiles(ctx context.Context, c config.Config) error {
	if err := checkFilesExist(c); err != nil {
		return err
	}
	if err := s.openFolder(ctx, c, 0); err != nil {
		return err
	}
	return s.checkFiles(ctx)
}

// checkFilesExist returns an error that wraps fs.ErrNotExist if a SQLite file of the receiver is missing.
func checkFilesExist(c config.Config) error {
	for _, path := range []string{c.InboxFile(), c.WorkFile()} {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("app: no store: %w", err)
		}
	}
	return nil
}

// openFolder locks the data folder and opens the files in it. It first makes those of up to maxBytes shrinkable.
func (s *stores) openFolder(ctx context.Context, c config.Config, maxBytes int64) (err error) {
	if s.folder, err = openDataFolder(c.DatabaseFolder()); err != nil {
		return err
	}
	s.cleanups.addClose("data folder", s.folder.close)
	if err := s.makeShrinkable(ctx, c, maxBytes); err != nil {
		return filesystem.Explain(s.folder.path, err)
	}
	if err := s.openBoth(ctx, c); err != nil {
		return filesystem.Explain(s.folder.path, err)
	}
	s.queue = s.work
	return nil
}

// maxCompacted is the size of the largest file that a start writes anew so that it can shrink, in bytes. That takes less than a second.
const maxCompacted = 64 << 20

// makeShrinkable writes files of earlier versions anew, up to a size in bytes, so that they can shrink. If that fails, as on a full
// disk, they stay as they are.
func (s *stores) makeShrinkable(ctx context.Context, c config.Config, maxBytes int64) error {
	for _, path := range []string{c.InboxFile(), c.WorkFile()} {
		shrinkable, bytes, err := database.IsShrinkable(ctx, path)
		if err != nil {
			return fmt.Errorf("app: %w", err)
		}
		if !shrinkable && (bytes > maxBytes || database.Compact(ctx, path) != nil) {
			s.fixed = append(s.fixed, path)
		}
	}
	return nil
}

// openBoth opens the files at the same time, because the look at their integrity takes long.
func (s *stores) openBoth(ctx context.Context, c config.Config) error {
	var group errgroup.Group
	group.Go(func() (err error) {
		s.inbox, err = database.OpenSQLite(ctx, c.InboxFile())
		return err
	})
	group.Go(func() (err error) {
		s.work, err = database.OpenSQLite(ctx, c.WorkFile())
		return err
	})
	err := group.Wait()
	if s.inbox != nil {
		s.cleanups.addClose("inbox file", s.inbox.Close)
	}
	if s.work != nil {
		s.cleanups.addClose("work file", s.work.Close)
	}
	return err
}

func (s *stores) openServer(ctx context.Context, c config.Config) error {
	err := database.MigrateServer(ctx, c.Database, func(ctx context.Context, db *database.DB) error {
		return s.migrate(ctx, db, db)
	})
	if err != nil {
		return err
	}
	return s.connect(ctx, c)
}

func (s *stores) connect(ctx context.Context, c config.Config) error {
	server, err := database.OpenServer(ctx, c.Database)
	if err != nil {
		return err
	}
	s.cleanups.addClose("database", server.Close)
	s.inbox, s.work, s.queue = server.Inbox, server.Work, server.Queue
	return nil
}

func (s *stores) migrate(ctx context.Context, inboxDB, workDB *database.DB) error {
	for _, store := range []struct {
		name    string
		migrate func(context.Context, *database.DB) (int64, error)
		db      *database.DB
	}{
		{"inbox", inbox.Migrate, inboxDB},
		{"work", schema.Migrate, workDB},
		{"queue", queue.Migrate, workDB},
	} {
		version, err := store.migrate(ctx, store.db)
		if err != nil {
			return fmt.Errorf("app: %s: %w", store.name, err)
		}
		s.versions = append(s.versions, Migration{Store: store.name, Version: version})
	}
	return nil
}

// check returns an error unless all schemas have the version of this program.
func (s *stores) check(ctx context.Context) error {
	for _, store := range []struct {
		name string
		db   *database.DB
		want int64
	}{
		{"inbox", s.inbox, inbox.SchemaVersion(s.inbox.Kind)},
		{"work", s.work, schema.Version()},
	} {
		if err := checkVersion(ctx, store.db, store.name, store.want); err != nil {
			return err
		}
	}
	return queue.CheckSchema(ctx, s.work)
}

func checkVersion(ctx context.Context, db *database.DB, name string, want int64) error {
	version, err := database.Version(ctx, db.Reader, db.Kind, name)
	if err != nil {
		return fmt.Errorf("app: %w", err)
	}
	if version != want {
		return fmt.Errorf("app: the %s store has schema version %d, this program needs version %d; "+
			"run \"receiver migrate\"", name, version, want)
	}
	return nil
}

// byName returns the databases by the names that the metrics have for them.
func (s *stores) byName() map[string]*database.DB {
	if s.work.Kind == database.Postgres {
		return map[string]*database.DB{"postgres": s.work}
	}
	return map[string]*database.DB{"inbox": s.inbox, "work": s.work}
}

// close closes the databases.
func (s *stores) close(ctx context.Context) error { return s.cleanups.run(ctx) }

// compactFiles writes both files of SQLite anew, without their free space and so that they can shrink.
func compactFiles(ctx context.Context, c config.Config) (err error) {
	if c.Database.IsPostgres() {
		return ErrPostgres
	}
	if err := checkFilesExist(c); err != nil {
		return err
	}
	folder, err := openDataFolder(c.DatabaseFolder())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.close()) }()
	for _, path := range []string{c.InboxFile(), c.WorkFile()} {
		if err := database.Compact(ctx, path); err != nil {
			return fmt.Errorf("app: %w", filesystem.Explain(folder.path, err))
		}
	}
	return nil
}
