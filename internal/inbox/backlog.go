package inbox

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/database"
)

const (
	// recountEvery is the pause between two counts of the outbox, which other replicas change too.
	recountEvery   = time.Second
	recountTimeout = 10 * time.Second
)

// backlog is the number of events that are accepted and not relayed. In SQLite the commits of this process change it exactly; in
// Postgres the outbox is counted once a second too.
type backlog struct {
	reader  *sql.DB
	limit   int64 // counting further makes no difference
	number  atomic.Int64
	waiting chan struct{} // holds a value when there are events to relay

	recounting *background.Service // nil in SQLite
}

func openBacklog(ctx context.Context, db *database.DB, limit int64) (*backlog, error) {
	b := &backlog{reader: db.Reader, limit: limit, waiting: make(chan struct{}, 1)}
	n, err := b.read(ctx)
	if err != nil {
		return nil, fmt.Errorf("inbox: backlog: %w", err)
	}
	b.add(n)
	if db.Kind == database.Postgres {
		b.recounting = background.New("inbox", background.Loop{Pass: background.Every(recountEvery, b.recount)})
		b.recounting.Start()
	}
	return b, nil
}

func (b *backlog) read(ctx context.Context) (n int64, err error) {
	err = b.reader.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 FROM outbox LIMIT $1) AS waiting", b.limit).Scan(&n)
	return n, err
}

func (b *backlog) count() int64 { return b.number.Load() }

// add adds the change of the outbox by a commit, and wakes the relay if it has grown.
func (b *backlog) add(delta int64) {
	b.number.Add(delta)
	if delta > 0 {
		b.wake()
	}
}

func (b *backlog) wake() {
	select {
	case b.waiting <- struct{}{}:
	default: // the relay has not read the last value yet
	}
}

// recount replaces the count of this process's commits by the size of the outbox. If it fails the last count stays: the store
// itself refuses events then.
func (b *backlog) recount(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, recountTimeout)
	defer cancel()
	n, err := b.read(limited)
	if err == nil {
		b.number.Store(n)
	}
	return err
}

func (b *backlog) close() {
	if b.recounting != nil {
		_ = b.recounting.Stop(context.Background()) // fails only when its context ends
	}
}
