package queue

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/google/uuid"
)

// replica says every so often that this process lives.
type replica struct {
	id       string
	database *database.DB
	every    time.Duration
	log      *slog.Logger

	cancel context.CancelFunc
	done   chan struct{}
}

func newReplica(db *database.DB, lease time.Duration, log *slog.Logger) *replica {
	const longestHost = 60 // River takes 100 bytes in all
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "receiver"
	}
	return &replica{id: host[:min(len(host), longestHost)] + "-" + uuid.NewString(), database: db, every: lease / 3, log: log}
}

// start gives the first sign of life before there is any work.
func (r *replica) start(ctx context.Context) error {
	if err := r.beat(ctx); err != nil {
		return err
	}
	beating, cancel := context.WithCancel(context.Background())
	r.cancel, r.done = cancel, make(chan struct{})
	go r.run(beating)
	return nil
}

func (r *replica) run(ctx context.Context) {
	defer close(r.done)
	ticker := time.NewTicker(r.every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := r.beat(ctx); err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "no sign of life could be given; work that takes longer may be given to others", "error", err.Error())
		}
	}
}

func (r *replica) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.every)
	defer cancel()
	_, err := r.database.Pool.Exec(ctx,
		"INSERT INTO replicas (id, seen_at) VALUES ($1, now()) ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at", r.id)
	if err != nil {
		return fmt.Errorf("queue: sign of life: %w", err)
	}
	return nil
}

// stop takes the sign of life back, so that what is left is given to others at once.
func (r *replica) stop() {
	if r.cancel == nil {
		return
	}
	r.cancel()
	<-r.done
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := r.database.Pool.Exec(ctx, "DELETE FROM replicas WHERE id = $1", r.id); err != nil {
		r.log.WarnContext(ctx, "the sign of life could not be taken back", "error", err.Error())
	}
}
