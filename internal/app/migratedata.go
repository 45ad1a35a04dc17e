package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/work"
)

// CopyReport says what a copy did.
type CopyReport struct {
	Inbox inbox.Copied `json:"inbox"`
	Work  work.Copied  `json:"work"`
	// Complete says that everything of the source was found in the target at the end.
	Complete bool `json:"complete"`
}

// CopyProgress hears how far a copy is: rows of the source that are done, of all.
type CopyProgress func(done, all int)

// Copy carries the events of an embedded receiver, their steps and their history over to Postgres. The source must
// not be in use; the target may be. It can be run again: what is there is left as it is.
func Copy(ctx context.Context, from, to config.Config, progress CopyProgress) (report CopyReport, err error) {
	if from.Database.IsPostgres() || !to.Database.IsPostgres() {
		return report, errors.New("app: a copy goes from sqlite:// to postgres://")
	}
	source, err := openStores(ctx, from)
	if err != nil {
		return report, fmt.Errorf("source: %w", err)
	}
	defer func() { err = errors.Join(err, source.close(context.WithoutCancel(ctx))) }()
	target, err := openStores(ctx, to)
	if err != nil {
		return report, fmt.Errorf("target: %w", err)
	}
	defer func() { err = errors.Join(err, target.close(context.WithoutCancel(ctx))) }()
	jobs, err := queue.Open(target.queue, to.Queue, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return report, err
	}
	store := work.Open(target.work, jobs)
	defer func() { err = errors.Join(err, store.Close()) }()
	return copyStores(ctx, source, target, store, progress)
}

func copyStores(ctx context.Context, source, target *stores, store *work.Store, progress CopyProgress) (report CopyReport, err error) {
	bodies, err := inbox.Count(ctx, source.inbox)
	if err != nil {
		return report, err
	}
	events, err := work.Count(ctx, source.work)
	if err != nil {
		return report, err
	}
	done := 0
	step := func(rows int) {
		done += rows
		progress(done, int(bodies+events))
	}
	if report.Inbox, err = inbox.Copy(ctx, source.inbox, target.inbox, step); err != nil {
		return report, err
	}
	if report.Work, err = store.CopyFrom(ctx, source.work, step); err != nil {
		return report, err
	}
	return verifyCopy(ctx, source, target, store, report)
}

// verifyCopy counts again what is in the target.
func verifyCopy(ctx context.Context, source, target *stores, store *work.Store, report CopyReport) (CopyReport, error) {
	bodies, err := inbox.Verify(ctx, source.inbox, target.inbox)
	if err != nil {
		return report, err
	}
	events, complete, err := store.Verify(ctx, source.work)
	if err != nil {
		return report, err
	}
	report.Complete = complete && bodies == report.Inbox.Found && events == report.Work.Found-report.Work.NoInbox &&
		report.Work.NoInbox <= report.Inbox.OtherID
	return report, nil
}
