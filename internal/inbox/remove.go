package inbox

import (
	"context"
	"fmt"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// Identity selects an event.
type Identity struct {
	Job string
	ID  event.ID
}

// removal removes the bodies of events, or with a time the events.
type removal struct {
	events []Identity
	at     int64 // microseconds since 1970; 0 if only the bodies are removed
}

// bytesPerRemoval is about what the removal of one event writes.
const bytesPerRemoval = 256

// Purge removes the bodies of events for good and returns when that is committed. The events stay, with empty bodies, so that a
// repeat is still a duplicate.
func (i *Inbox) Purge(ctx context.Context, events []Identity) error {
	return i.commit(ctx, &entry{kind: removeEvents, removal: removal{events: events}})
}

// Remove removes events and returns when that is committed. Of each it keeps a tombstone: ID, job, digest and time, so that a repeat is
// still a duplicate. The relay does not carry an event that is removed, not even after the work store was lost.
func (i *Inbox) Remove(ctx context.Context, events []Identity, at time.Time) error {
	return i.commit(ctx, &entry{kind: removeEvents, removal: removal{events: events, at: at.UnixMicro()}})
}

// Tombstones returns the numbers of the oldest tombstones that were made before a time, at most limit.
func (i *Inbox) Tombstones(ctx context.Context, before time.Time, limit int) ([]int64, error) {
	list, err := database.SelectColumn[int64](ctx, i.database.Reader,
		"SELECT seq FROM callbacks WHERE removed_at < $1 ORDER BY removed_at LIMIT $2", before.UnixMicro(), limit)
	return list, database.Wrap("inbox: tombstones", err)
}

// DeleteTombstones deletes tombstones by their numbers and returns when that is committed. A repeat is a new event from then on.
func (i *Inbox) DeleteTombstones(ctx context.Context, sequences []int64) error {
	return i.commit(ctx, &entry{kind: deleteTombstones, sequences: sequences})
}

// Surplus returns the number of pages that the file of the inbox can return to the file system; see database.DB.Surplus.
func (i *Inbox) Surplus(ctx context.Context) (pages int, err error) { return i.database.Surplus(ctx) }

// Shrink returns up to so many pages of the file to the file system, and returns when that is committed.
func (i *Inbox) Shrink(ctx context.Context, pages int) error {
	return i.commit(ctx, &entry{kind: shrinkFile, pages: pages})
}

// OldRejections returns the IDs of the oldest rejections that were received before a time, at most limit.
func (i *Inbox) OldRejections(ctx context.Context, before time.Time, limit int) ([]int64, error) {
	type row struct{ id, received int64 }
	list, err := database.Select(ctx, i.database.Reader, func(r *row) []any { return []any{&r.id, &r.received} },
		"SELECT seq, received_at FROM rejections ORDER BY seq LIMIT $1", limit)
	if err != nil {
		return nil, fmt.Errorf("inbox: old rejections: %w", err)
	}
	var old []int64
	for _, r := range list {
		if r.received < before.UnixMicro() {
			old = append(old, r.id)
		}
	}
	return old, nil
}

// DeleteRejections deletes rejections, those that are stored, and returns when that is committed.
func (i *Inbox) DeleteRejections(ctx context.Context, ids []int64) error {
	return i.commit(ctx, &entry{kind: deleteRejection, sequences: ids})
}
