package app

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/deepimage-receiver/receiver/internal/backup"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/telemetry"
	"github.com/rs/zerolog"
)

// ErrPostgres means that a command is for SQLite only.
var ErrPostgres = errors.New("app: the stores are in Postgres; use its tools, such as pg_dump")

func backupFiles(c config.Config) backup.Files {
	return backup.Files{Inbox: c.InboxFile(), Work: c.WorkFile(), Token: c.TokenFile()}
}

// Backup copies the SQLite files and the generated token into an empty folder. The receiver may run.
func Backup(ctx context.Context, c config.Config, folder string) (backup.Manifest, error) {
	if c.Database.IsPostgres() {
		return backup.Manifest{}, ErrPostgres
	}
	return backup.Save(ctx, backupFiles(c), folder, telemetry.CurrentBuild().Version)
}

// Restore puts a backup into the data folder, which must have no stores and not be in use. The receiver that starts on it
// migrates the stores and relays again what the work store lacks.
func Restore(ctx context.Context, c config.Config, folder string) (manifest backup.Manifest, err error) {
	if c.Database.IsPostgres() {
		return backup.Manifest{}, ErrPostgres
	}
	data, err := openDataFolder(c.DatabaseFolder())
	if err != nil {
		return backup.Manifest{}, err
	}
	defer func() { err = errors.Join(err, data.close()) }()
	return backup.Restore(ctx, folder, backupFiles(c))
}

// VerifyReport is the result of Verify.
type VerifyReport struct {
	backup.Report
	Repaired int64 `json:"repaired"` // events that are relayed again at the next start
}

// Verify reads the stores and every stored file, and reports what is damaged or does not agree. Without repair it writes
// nothing and the receiver may run. With repair the receiver must be stopped: events that the work store lacks are relayed again.
func Verify(ctx context.Context, c config.Config, repair bool, progress func(done, all int)) (report VerifyReport, err error) {
	if !c.Database.IsPostgres() {
		if err := checkFilesExist(c); err != nil {
			return report, err
		}
		if report.Problems, err = integrity(ctx, c); err != nil || len(report.Problems) > 0 {
			return report, err
		}
	}
	a := &App{config: c, log: zerolog.Nop(), artifacts: artifactStores{}}
	defer func() { err = errors.Join(err, a.cleanups.run(context.WithoutCancel(ctx))) }()
	stores, writer, err := a.verifiedStores(ctx, repair)
	if err != nil {
		return report, err
	}
	if report.Report, err = backup.Verify(ctx, stores, progress); err != nil || !repair {
		return report, err
	}
	var sequences []int64
	for _, p := range report.Problems {
		if p.Kind == backup.NotAdded {
			sequences = append(sequences, p.Sequence)
		}
	}
	report.Repaired = int64(len(sequences))
	return report, inbox.RequeueEvents(ctx, writer, sequences)
}

// integrity reads both SQLite files to their ends.
func integrity(ctx context.Context, c config.Config) (problems []backup.Problem, err error) {
	for _, path := range []string{c.InboxFile(), c.WorkFile()} {
		texts, err := database.Integrity(ctx, path)
		if err != nil {
			return problems, err
		}
		for _, text := range texts {
			problems = append(problems, backup.Problem{Kind: backup.Damaged, Key: filepath.Base(path), Text: text})
		}
	}
	return problems, nil
}

// verifiedStores opens the stores and the buckets: for writing if they are to be repaired.
func (a *App) verifiedStores(ctx context.Context, repair bool) (stores backup.Stores, writer *database.DB, err error) {
	stores.Open = a.artifacts.Open
	if err := a.openBuckets(ctx); err != nil {
		return stores, nil, err
	}
	if repair || a.config.Database.IsPostgres() {
		opened, err := openFound(ctx, a.config)
		if err != nil {
			return stores, nil, err
		}
		a.cleanups.add("stores", opened.close)
		stores.Inbox, stores.Work = opened.inbox.Reader, opened.work.Reader
		return stores, opened.inbox, nil
	}
	for _, file := range []struct {
		path string
		pool **sql.DB
	}{{a.config.InboxFile(), &stores.Inbox}, {a.config.WorkFile(), &stores.Work}} {
		reader, err := database.OpenSQLiteReadOnly(ctx, file.path)
		if err != nil {
			return stores, nil, err
		}
		a.cleanups.addClose(file.path, reader.Close)
		*file.pool = reader
	}
	return stores, nil, nil
}

// openBuckets makes the handlers that store files.
func (a *App) openBuckets(ctx context.Context) error {
	for _, h := range a.config.Handlers {
		if _, ok := h.Config.(handler.ImageKeeper); !ok {
			continue
		}
		for _, step := range h.Steps() {
			made, err := h.Definition.New(ctx, h.Config, handler.Deps{
				Step: step.Name, Log: a.log, DefaultBucketURL: a.config.ImagesURL(), SpoolFolder: a.config.SpoolFolder(), Redact: event.Redact,
			})
			if err != nil {
				return fmt.Errorf("app: %w", err)
			}
			a.cleanups.addClose("handler "+step.Name, func() error { return handler.Close(made) })
			if artifacts, ok := made.(handler.Artifacts); ok {
				a.artifacts[step.Name] = artifacts
			}
		}
	}
	return nil
}
