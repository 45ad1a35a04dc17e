package workflow

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// Drop says which steps are given up, and who wants it.
type Drop struct {
	Handler string
	// Open adds the steps that are not deferred: no worker runs them, because the handler is not configured.
	Open bool
	By   string
}

// maxDropped is the maximum number of events that one transaction of Drop changes.
const maxDropped = 200

// The conditions on the steps of a handler: those that are deferred, and those that are open.
const (
	deferredSteps = "steps.state = 'retrying' AND (deferred_at IS NOT NULL OR outage_at IS NOT NULL)"
	openSteps     = "steps.state IN ('pending', 'running', 'retrying', 'waiting')"
)

// isOpen is the parameter of the condition: 1 for all open steps.
func (d Drop) isOpen() int {
	if d.Open {
		return 1
	}
	return 0
}

// detail is the detail of the steps.
func (d Drop) detail(now time.Time) string {
	return database.SanitizeText(fmt.Sprintf("Given up by %s at %s.", d.By, now.UTC().Format(time.RFC3339)))
}

// Drop skips the deferred steps of a handler and returns their number. They get a detail that says who wanted
// it and when, and can be replayed. Their events continue, but their images are not deleted at the vendor.
func (s *Store) Drop(ctx context.Context, d Drop) (steps int, err error) {
	for {
		n := 0
		err := s.writer.Write(ctx, "workflow: drop", func(ctx context.Context, tx *sql.Tx) error {
			ids, err := s.dropped(ctx, tx, d)
			n = len(ids)
			for _, id := range ids {
				if err == nil {
					err = s.drop(ctx, tx, id, d)
				}
			}
			return err
		})
		if err != nil {
			return steps, err
		}
		if steps += n; n < maxDropped {
			return steps, nil
		}
	}
}

// dropped locks and returns the next events with steps to give up.
func (s *Store) dropped(ctx context.Context, tx *sql.Tx, d Drop) (ids []event.ID, err error) {
	lock := ""
	if s.writer.DB.Kind == database.Postgres {
		lock = " FOR UPDATE OF events"
	}
	rows, err := database.Query(ctx, tx, `SELECT id FROM events JOIN steps ON event_id = id
		WHERE events.state <> 'done' AND handler = $1 AND ($3 = 1 AND `+openSteps+` OR `+deferredSteps+`) ORDER BY id LIMIT $2`+lock,
		d.Handler, maxDropped, d.isOpen())
	if err != nil {
		return nil, err
	}
	err = rows.ForEach(func() error {
		var id event.ID
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	return ids, err
}

// drop skips the step of one event.
func (s *Store) drop(ctx context.Context, tx *sql.Tx, id event.ID, d Drop) error {
	now := s.Now()
	_, err := tx.ExecContext(ctx, `UPDATE steps SET state = 'skipped', reason = '', detail = $1, changed_at = $2,
			next_at = NULL, deferred_at = NULL, outage_at = NULL, host = ''
		WHERE event_id = $3 AND handler = $4 AND ($5 = 1 AND `+openSteps+` OR `+deferredSteps+`)`,
		d.detail(now), now.UnixMicro(), string(id), d.Handler, d.isOpen())
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE steps SET state = 'skipped', detail = $1, changed_at = $2
		WHERE event_id = $3 AND handler = $4 AND state = 'waiting'`,
		"Not every handler was done: "+d.detail(now), now.UnixMicro(), string(id), event.DeleteStep)
	if err != nil {
		return err
	}
	if err := s.startNextStage(ctx, tx, id); err != nil {
		return err
	}
	return refreshEvent(ctx, tx, id)
}

// Kept says who keeps the steps of a handler that is not configured.
type Kept struct {
	At time.Time
	By string
}

// Keep records that the steps of a handler that is not configured wait because an operator wants it.
func (s *Store) Keep(ctx context.Context, handler, by string) error {
	return s.writer.Write(ctx, "workflow: keep", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO kept_handlers (name, kept_at, kept_by) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
			handler, s.Now().UnixMicro(), database.SanitizeText(by))
		return err
	})
}

// Kept returns the handlers whose steps are kept.
func (s *Store) Kept(ctx context.Context) (map[string]Kept, error) {
	rows, err := database.Query(ctx, s.writer.DB.Reader, "SELECT name, kept_at, kept_by FROM kept_handlers")
	if err != nil {
		return nil, database.Wrap("workflow: kept", err)
	}
	list := map[string]Kept{}
	err = rows.ForEach(func() error {
		var name string
		var at int64
		var k Kept
		err := rows.Scan(&name, &at, &k.By)
		k.At = database.FromMicros(at)
		list[name] = k
		return err
	})
	return list, database.Wrap("workflow: kept", err)
}

// Configure forgets that the steps of handlers were kept, because these are configured again.
func (s *Store) Configure(ctx context.Context, handlers []string) error {
	kept, err := s.Kept(ctx)
	if err != nil || len(kept) == 0 {
		return err
	}
	return s.writer.Write(ctx, "workflow: configure", func(ctx context.Context, tx *sql.Tx) error {
		for _, name := range handlers {
			if _, err := tx.ExecContext(ctx, "DELETE FROM kept_handlers WHERE name = $1", name); err != nil {
				return err
			}
		}
		return nil
	})
}
