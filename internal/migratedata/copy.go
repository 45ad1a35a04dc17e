// Package migratedata copies the events of a receiver from SQLite to Postgres.
package migratedata

import (
	"context"
	"database/sql"
	"errors"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/queue"
)

// Copied counts the rows of a work store that were copied.
type Copied struct {
	Found     int64 `json:"found"`      // events in the source
	Fresh     int64 `json:"fresh"`      // events copied now, with their steps, attempts and artifacts
	Known     int64 `json:"known"`      // events that the target had already, as after an earlier copy
	NoInbox   int64 `json:"no_inbox"`   // events that the inbox of the target does not have under this id
	Steps     int64 `json:"steps"`      // copied now
	Attempts  int64 `json:"attempts"`   // copied now
	Artifacts int64 `json:"artifacts"`  // copied now
	Jobs      int64 `json:"still_open"` // open steps, which have their queue jobs now
}

// copyRows is how many rows are copied in one transaction.
const copyRows = 200

// Databases are the two databases of a receiver.
type Databases struct{ Inbox, Work *database.DB }

// Queue inserts the jobs of steps that are to run.
type Queue interface {
	Insert(ctx context.Context, tx *sql.Tx, jobs []queue.Job) error
}

// Report is the result of Copy.
type Report struct {
	Inbox inbox.Copied `json:"inbox"`
	Work  Copied       `json:"work"`
	// Complete says that everything of the source was found in the target at the end.
	Complete bool `json:"complete"`
}

// copier copies from one work database to another.
type copier struct {
	source *database.DB
	writer *database.Writer // of the target
	queue  Queue            // of the target
}

// Copy copies the events of a receiver with SQLite, their bodies, steps and history to Postgres, and verifies the result. No other process
// may use the source; the target may run. It can be repeated: what the target has already is not changed.
// progress is called with the number of rows that are done, of all.
func Copy(ctx context.Context, source, target Databases, queue Queue, progress func(done, all int)) (report Report, err error) {
	bodies, err := inbox.Count(ctx, source.Inbox)
	if err != nil {
		return report, err
	}
	events, err := count(ctx, source.Work)
	if err != nil {
		return report, err
	}
	done := 0
	step := func(rows int) {
		done += rows
		progress(done, int(bodies+events))
	}
	if report.Inbox, err = inbox.Copy(ctx, source.Inbox, target.Inbox, step); err != nil {
		return report, err
	}
	writer := database.NewWriter(target.Work)
	defer func() { err = errors.Join(err, writer.Close()) }()
	c := &copier{source: source.Work, writer: writer, queue: queue}
	if report.Work, err = c.copy(ctx, step); err != nil {
		return report, err
	}
	return c.verify(ctx, source, target, report)
}

// copy adds the events of the source whose bodies are in the target's inbox:
// their steps, attempts and artifacts, and a queue job for every step that is to run; also the targets
// that are disabled, the tracked jobs, the bulk replay that is in progress, and what is being erased or deleted.
func (c *copier) copy(ctx context.Context, progress func(events int)) (copied Copied, err error) {
	if err := c.copyTables(ctx, tablesBeforeEvents()); err != nil {
		return copied, err
	}
	last := ""
	for {
		events, err := c.events(ctx, last)
		if err != nil {
			return copied, database.Wrap("migratedata: copy", err)
		}
		if len(events) == 0 {
			return copied, c.copyTables(ctx, tablesAfterEvents())
		}
		last = events[len(events)-1].id
		if err := c.copyBatch(ctx, events, &copied); err != nil {
			return copied, err
		}
		progress(len(events))
	}
}

func (c *copier) copyTables(ctx context.Context, tables []table) error {
	for _, t := range tables {
		if err := c.copyTable(ctx, t); err != nil {
			return database.Wrap("migratedata: copy "+t.name, err)
		}
	}
	return nil
}

func (c *copier) copyBatch(ctx context.Context, events []eventRow, copied *Copied) error {
	first, last := events[0].id, events[len(events)-1].id
	steps, err := readTable(ctx, c.source.Reader, "steps", stepColumns, first, last)
	if err != nil {
		return database.Wrap("migratedata: copy", err)
	}
	attempts, err := readTable(ctx, c.source.Reader, "attempts", attemptColumns, first, last)
	if err != nil {
		return database.Wrap("migratedata: copy", err)
	}
	artifacts, err := readTable(ctx, c.source.Reader, "artifacts", artifactColumns, first, last)
	if err != nil {
		return database.Wrap("migratedata: copy", err)
	}
	words, err := readTable(ctx, c.source.Reader, "event_words", wordColumns, first, last)
	if err != nil {
		return database.Wrap("migratedata: copy", err)
	}
	var counted Copied
	err = c.writer.Write(ctx, "migratedata: copy", func(ctx context.Context, tx *sql.Tx) error {
		counted = Copied{Found: int64(len(events))}
		fresh, err := insertCopies(ctx, tx, events, &counted)
		if err != nil {
			return err
		}
		for _, table := range []struct {
			name, columns string
			rows          [][]any
			count         *int64
		}{
			{"steps", stepColumns, steps, &counted.Steps},
			{"attempts", attemptColumns, attempts, &counted.Attempts},
			{"artifacts", artifactColumns, artifacts, &counted.Artifacts},
		} {
			if *table.count, err = insertTable(ctx, tx, table.name, table.columns, table.rows, fresh); err != nil {
				return err
			}
		}
		if _, err := insertTable(ctx, tx, "event_words", wordColumns, words, fresh); err != nil {
			return err
		}
		jobs := openJobs(steps, fresh)
		counted.Jobs = int64(len(jobs))
		return c.queue.Insert(ctx, tx, jobs)
	})
	copied.add(counted)
	return err
}

func (c *Copied) add(more Copied) {
	c.Found, c.Fresh, c.Known, c.NoInbox = c.Found+more.Found, c.Fresh+more.Fresh, c.Known+more.Known, c.NoInbox+more.NoInbox
	c.Steps, c.Attempts, c.Artifacts, c.Jobs = c.Steps+more.Steps, c.Attempts+more.Attempts, c.Artifacts+more.Artifacts, c.Jobs+more.Jobs
}
