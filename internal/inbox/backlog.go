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
	// recountEvery is how often what other replicas added and took is looked up.
	recountEvery   = time.Second
	recountTimeout = 10 * time.Second
)

// backlog counts what is accepted and not relayed. Where this process is the only one,
// its own commits say it exactly; in Postgres it is counted again and again.
type backlog struct {
	reader  *sql.DB
	most    int64 // counting further makes no difference
	number  atomic.Int64
	waiting chan struct{} // one token when there is something to relay

	recounting *background.Service // nil in SQLite
}

func openBacklog(ctx context.Context, db *database.DB, most int64) (*backlog, error) {
	b := &backlog{reader: db.Reader, most: most, waiting: make(chan struct{}, 1)}
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
	err = b.reader.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 FROM outbox LIMIT $1) AS waiting", b.most).Scan(&n)
	return n, err
}

func (b *backlog) count() int64 { return b.number.Load() }

// add counts what a commit added to the outbox, and wakes the relay if it added any.
func (b *backlog) add(delta int64) {
	b.number.Add(delta)
	if delta > 0 {
		b.wake()
	}
}

func (b *backlog) wake() {
	select {
	case b.waiting <- struct{}{}:
	default: // the relay has been told already
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
