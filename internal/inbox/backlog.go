package inbox

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

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

	cancel  context.CancelFunc
	counter sync.WaitGroup
}

func openBacklog(ctx context.Context, db *database.DB, most int64) (*backlog, error) {
	b := &backlog{reader: db.Reader, most: most, waiting: make(chan struct{}, 1), cancel: func() {}}
	n, err := b.read(ctx)
	if err != nil {
		return nil, fmt.Errorf("inbox: backlog: %w", err)
	}
	b.add(n)
	if db.Kind == database.Postgres {
		var recounting context.Context
		recounting, b.cancel = context.WithCancel(context.Background())
		b.counter.Go(func() { b.recount(recounting) })
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

// recount replaces what our own commits say by what the outbox holds. A count that fails leaves the
// last one: the store says 503 by itself then.
func (b *backlog) recount(ctx context.Context) {
	ticker := time.NewTicker(recountEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		limited, cancel := context.WithTimeout(ctx, recountTimeout)
		if n, err := b.read(limited); err == nil {
			b.number.Store(n)
		}
		cancel()
	}
}

func (b *backlog) close() {
	b.cancel()
	b.counter.Wait()
}
