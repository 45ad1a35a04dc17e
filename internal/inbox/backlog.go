package inbox

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/database"
)

const (
	// recountEvery is the pause between two counts of the outbox, which other replicas change too.
	recountEvery   = time.Second
	recountTimeout = 10 * time.Second
	// maxSkipped is how many counts in a row may be dropped because of commits at the same time.
	maxSkipped = 5
)

// backlog is the number of events that are accepted and not relayed. In SQLite the commits of this process change it exactly; in
// Postgres the outbox is counted once a second too.
type backlog struct {
	reader  *sql.DB
	limit   int64 // counting further makes no difference
	number  atomic.Int64
	waiting chan struct{} // holds a value when there are events to relay

	recounting *background.Service // nil in SQLite
	mutex      sync.Mutex
	active     int   // commits under way
	commits    int64 // that have begun
	skipped    int   // counts in a row that were dropped
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

// begin must be called before a commit in Postgres, and end after it with the change of the outbox.
func (b *backlog) begin() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.active++
	b.commits++
}

func (b *backlog) end(delta int64) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.active--
	b.add(delta)
}

// recount replaces the number by the size of the outbox. It is exact while this process commits nothing. A count during a commit
// could miss it or add it twice, so it is dropped; under load one in a few is used all the same. If counting fails the last number
// stays: the database itself refuses events then.
func (b *backlog) recount(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, recountTimeout)
	defer cancel()
	b.mutex.Lock()
	idle, commits := b.active == 0, b.commits
	b.mutex.Unlock()
	n, err := b.read(limited)
	if err != nil {
		return err
	}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.skipped++; idle && b.commits == commits || b.skipped > maxSkipped {
		b.number.Store(n)
		b.skipped = 0
	}
	return nil
}

func (b *backlog) close() {
	if b.recounting != nil {
		_ = b.recounting.Stop(context.Background()) // fails only when its context ends
	}
}
