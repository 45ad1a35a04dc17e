package queue

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/google/uuid"
)

// heartbeat shows the other replicas in Postgres that this one lives. Without a heartbeat for the lease, they take its jobs.
type heartbeat struct {
	service  *background.Service
	id       string // of this replica, also as River's client
	database *database.DB
	interval time.Duration
	log      *slog.Logger
}

func newHeartbeat(db *database.DB, lease time.Duration, log *slog.Logger) *heartbeat {
	const maxHost = 60 // bytes; River allows 100 for the whole id
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "receiver"
	}
	h := &heartbeat{id: host[:min(len(host), maxHost)] + "-" + uuid.NewString(), database: db, interval: lease / 3, log: log}
	h.service = background.New("queue", background.Loop{
		Pass: background.Every(h.interval, h.send),
		Failed: func(err error) {
			log.Error("heartbeat failed, other replicas may take long-running jobs", "error", err.Error())
		},
	})
	return h
}

// start sends the first heartbeat, so that there is one before the first job.
func (h *heartbeat) start(ctx context.Context) error {
	if err := h.send(ctx); err != nil {
		return err
	}
	h.service.Start()
	return nil
}

func (h *heartbeat) send(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, h.interval)
	defer cancel()
	_, err := h.database.Pool.Exec(ctx,
		"INSERT INTO replicas (id, seen_at) VALUES ($1, now()) ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at", h.id)
	if err != nil {
		return fmt.Errorf("queue: heartbeat: %w", err)
	}
	return nil
}

// stop deletes the heartbeat, so that other replicas need not wait for its end to take what is left.
func (h *heartbeat) stop() {
	_ = h.service.Stop(context.Background()) // fails only when its context ends
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := h.database.Pool.Exec(ctx, "DELETE FROM replicas WHERE id = $1", h.id); err != nil {
		h.log.Warn("heartbeat not deleted", "error", err.Error())
	}
}
