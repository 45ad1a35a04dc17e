package queue

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
)

// lookForLostEvery is how often jobs are looked for that nobody works on. A job is
// lost when it is found twice, so that it is back within a minute.
const lookForLostEvery = 20 * time.Second

// handed is when River handed out a job, by the job's id.
type handed map[int64]string

// lost finds jobs that count as running in this process and are not: their end could
// not be recorded, as on a full disk or while the database was away. River's own rescue
// leaves jobs without a timeout alone. We can tell, because what runs here is what this
// process has in hand.
type lost struct {
	database *database.DB
	replica  string // this process as River's client; "" in SQLite, where all jobs are this process's
	log      *slog.Logger
	every    time.Duration

	mutex  sync.Mutex
	inHand map[int64]struct{} // ids of jobs

	cancel context.CancelFunc
	done   chan struct{}
}

func newLost(db *database.DB, replica string, log *slog.Logger) *lost {
	return &lost{database: db, replica: replica, log: log, every: lookForLostEvery, inHand: map[int64]struct{}{}}
}

// hold takes a job in hand until release is called. It is false when the job is in
// hand already: nobody may work on it twice at the same time, because River keeps
// one row for both and would take the end of one for that of the other.
func (l *lost) hold(id int64) (release func(), held bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if _, already := l.inHand[id]; already {
		return nil, false
	}
	l.inHand[id] = struct{}{}
	return func() {
		l.mutex.Lock()
		defer l.mutex.Unlock()
		delete(l.inHand, id)
	}, true
}

func (l *lost) isInHand(id int64) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	_, held := l.inHand[id]
	return held
}

func (l *lost) start() {
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel, l.done = cancel, make(chan struct{})
	go l.run(ctx)
}

func (l *lost) stop() {
	if l.cancel != nil {
		l.cancel()
		<-l.done
	}
}

func (l *lost) run(ctx context.Context) {
	defer close(l.done)
	ticker := time.NewTicker(l.every)
	defer ticker.Stop()
	var suspects handed
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		var err error
		if suspects, err = l.look(ctx, suspects); err != nil && ctx.Err() == nil {
			l.log.WarnContext(ctx, "lost jobs could not be looked for", "error", err.Error())
		}
	}
}

// look makes those suspects available again that nobody has in hand still, and
// gives those that nobody has in hand now. Between River's taking a job and our
// holding it, and the other way round at its end, there is a moment that the
// second look leaves time for; a job that was handed out anew is a new suspect.
func (l *lost) look(ctx context.Context, suspects handed) (handed, error) {
	running, err := l.running(ctx)
	if err != nil {
		return nil, err
	}
	next := handed{}
	for id, at := range running {
		before, suspect := suspects[id]
		switch {
		case l.isInHand(id):
		case !suspect || before != at:
			next[id] = at
		default:
			_, err := l.database.Writer.ExecContext(ctx,
				"UPDATE river_job SET state = 'available' WHERE id = $1 AND coalesce(CAST(attempted_at AS TEXT), '') = $2 AND state = 'running'", id, at)
			if err != nil {
				return nil, fmt.Errorf("queue: %w", err)
			}
			l.log.WarnContext(ctx, "a job that nobody worked on is available again", "id", id)
		}
	}
	return next, nil
}

func (l *lost) running(ctx context.Context) (handed, error) {
	rows, err := l.query(ctx)
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	defer func() { _ = rows.Close() }()
	running := handed{}
	for rows.Next() {
		var id int64
		var at string
		if err := rows.Scan(&id, &at); err != nil {
			return nil, fmt.Errorf("queue: %w", err)
		}
		running[id] = at
	}
	return running, rows.Err()
}

func (l *lost) query(ctx context.Context) (*sql.Rows, error) {
	const all = "SELECT id, coalesce(CAST(attempted_at AS TEXT), '') FROM river_job WHERE state = 'running' AND kind = 'step'"
	if l.database.Kind == database.SQLite {
		return l.database.Reader.QueryContext(ctx, all)
	}
	return l.database.Reader.QueryContext(ctx, all+" AND attempted_by[array_upper(attempted_by, 1)] = $1", l.replica)
}
