package relay

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/rs/zerolog"
)

// Inbox is where events come from.
type Inbox interface {
	Waiting() <-chan struct{}
	Unrelayed(ctx context.Context, limit int) ([]inbox.Entry, error)
	Relayed(ctx context.Context, sequences []int64) error
}

// New makes a relay between an inbox and a work store that do not share transactions. It gives
// every event one step for each handler; handlers of a stage wait for all stages before.
func New(from Inbox, to Work, stages [][]string, log zerolog.Logger) *Relay {
	return newRelay(from, to, stages, log, func(ctx context.Context) (int, error) {
		entries, err := from.Unrelayed(ctx, batch)
		if err != nil || len(entries) == 0 {
			return 0, err
		}
		found := func(context.Context, *sql.Tx) ([]workflow.InboxEntry, error) { return arrivals(entries), nil }
		if _, err := to.Add(ctx, found, stages); err != nil {
			return 0, fmt.Errorf("relay: %w", err)
		}
		if err := from.Relayed(ctx, sequences(entries)); err != nil {
			return 0, fmt.Errorf("relay: %w", err)
		}
		return len(entries), nil
	})
}

// NewWithin is New for an inbox and a work store in one Postgres database.
func NewWithin(from Inbox, to Work, stages [][]string, log zerolog.Logger) *Relay {
	claim := func(ctx context.Context, tx *sql.Tx) ([]workflow.InboxEntry, error) {
		entries, err := inbox.Claim(ctx, tx, batch)
		return arrivals(entries), err
	}
	return newRelay(from, to, stages, log, func(ctx context.Context) (int, error) {
		carried, err := to.Add(ctx, claim, stages)
		if err != nil {
			return 0, fmt.Errorf("relay: %w", err)
		}
		return carried, nil
	})
}

func newRelay(from Inbox, to Work, stages [][]string, log zerolog.Logger, carry func(context.Context) (int, error)) *Relay {
	return &Relay{waiting: from.Waiting, carry: carry, work: to, first: stages[0], log: log, done: make(chan struct{})}
}

func arrivals(entries []inbox.Entry) []workflow.InboxEntry {
	list := make([]workflow.InboxEntry, len(entries))
	for i, e := range entries {
		list[i] = workflow.InboxEntry{
			Sequence: e.Sequence, ID: e.ID, Job: e.Job, Digest: e.Digest, Received: e.Received, Bytes: e.Bytes,
			Source: e.Source, Origin: e.Origin, Token: e.Token,
		}
	}
	return list
}

func sequences(entries []inbox.Entry) []int64 {
	list := make([]int64, len(entries))
	for i, e := range entries {
		list[i] = e.Sequence
	}
	return list
}
