package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/migratedata"
	"github.com/deepimage-receiver/receiver/internal/queue"
)

// CopyReport is the result of Copy.
type CopyReport = migratedata.Report

// CopyProgress is called with the number of copied rows of the source, and of all its rows.
type CopyProgress func(done, all int)

// Copy copies the events of an embedded receiver, with their steps and history, to Postgres. The source must not be in
// use; the target may be. It is idempotent: it leaves existing rows unchanged.
func Copy(ctx context.Context, from, to config.Config, progress CopyProgress) (report CopyReport, err error) {
	if from.Database.IsPostgres() || !to.Database.IsPostgres() {
		return report, errors.New("app: the source of a copy must be sqlite://, its target postgres://")
	}
	if err := checkFilesExist(from); err != nil { // a source is never created
		return report, fmt.Errorf("source: %w", err)
	}
	source, err := openStores(ctx, from)
	if err != nil {
		return report, fmt.Errorf("source: %w", err)
	}
	defer func() { err = errors.Join(err, source.close(context.WithoutCancel(ctx))) }()
	if err := source.checkFiles(ctx); err != nil {
		return report, fmt.Errorf("source: %w", err)
	}
	target, err := openStores(ctx, to)
	if err != nil {
		return report, fmt.Errorf("target: %w", err)
	}
	defer func() { err = errors.Join(err, target.close(context.WithoutCancel(ctx))) }()
	jobs, err := queue.Open(target.queue, to.Queue, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return report, err
	}
	return migratedata.Copy(ctx, source.databases(), target.databases(), jobs, progress)
}

func (s *stores) databases() migratedata.Databases {
	return migratedata.Databases{Inbox: s.inbox, Work: s.work}
}
