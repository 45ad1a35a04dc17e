package queue

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
)

// lookForLostEvery is how often jobs are looked for that nobody works on. A job is
// lost when it is found twice, so that it is back within a minute.
const lookForLostEvery = 20 * time.Second

// delivery is one time that River handed out a job.
type delivery struct {
	id      int64
	attempt int
}

// lost finds jobs that count as running and are not: their end could not be
// recorded, as on a full disk. River itself would notice only when the job's whole
// time is over. It can tell because the embedded store has only this process: what
// runs is what this process has in hand.
type lost struct {
	database *database.SQLite
	log      *slog.Logger
	every    time.Duration

	mutex  sync.Mutex
	inHand map[delivery]struct{}

	cancel context.CancelFunc
	done   chan struct{}
}

func newLost(db *database.SQLite, log *slog.Logger) *lost {
	return &lost{database: db, log: log, every: lookForLostEvery, inHand: map[delivery]struct{}{}}
}

// hold remembers a delivery until release is called.
func (l *lost) hold(d delivery) (release func()) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.inHand[d] = struct{}{}
	return func() {
		l.mutex.Lock()
		defer l.mutex.Unlock()
		delete(l.inHand, d)
	}
}

func (l *lost) isInHand(d delivery) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	_, held := l.inHand[d]
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
	var suspects map[delivery]bool
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
// second look leaves time for.
func (l *lost) look(ctx context.Context, suspects map[delivery]bool) (map[delivery]bool, error) {
	running, err := l.running(ctx)
	if err != nil {
		return nil, err
	}
	next := map[delivery]bool{}
	for _, d := range running {
		switch {
		case l.isInHand(d):
		case !suspects[d]:
			next[d] = true
		default:
			_, err := l.database.Writer.ExecContext(ctx,
				"UPDATE river_job SET state = 'available' WHERE id = ? AND attempt = ? AND state = 'running'", d.id, d.attempt)
			if err != nil {
				return nil, fmt.Errorf("queue: %w", err)
			}
			l.log.WarnContext(ctx, "a job that nobody worked on is available again", "id", d.id)
		}
	}
	return next, nil
}

func (l *lost) running(ctx context.Context) ([]delivery, error) {
	rows, err := l.database.Reader.QueryContext(ctx, "SELECT id, attempt FROM river_job WHERE state = 'running'")
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var running []delivery
	for rows.Next() {
		var d delivery
		if err := rows.Scan(&d.id, &d.attempt); err != nil {
			return nil, fmt.Errorf("queue: %w", err)
		}
		running = append(running, d)
	}
	return running, rows.Err()
}
