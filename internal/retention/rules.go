package retention

import (
	"context"
	"slices"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/inbox"
)

const (
	// maxEvents and maxBytes bound the events of one transaction, and the bodies that it removes.
	maxEvents = 100
	maxBytes  = 4 << 20
	// maxScanned bounds the events that one query looks at.
	maxScanned = 500
	// maxSmall bounds what has no history: rejections, tombstones, jobs, thumbnails.
	maxSmall = 200
	// sweepInterval is the shortest time between two looks at all events that stay, because their bodies alone are removed, or because
	// they have changed lately.
	sweepInterval = 24 * time.Hour
)

// rule removes what is older than an age.
type rule struct {
	kind kind
	age  time.Duration
	// remove removes one batch of what is older than before. It returns the number, and whether there may be more.
	remove func(ctx context.Context, before time.Time) (n int, more bool, err error)
}

// enabled returns the rules with an age.
func enabled(rules ...*rule) []*rule {
	return slices.DeleteFunc(rules, func(r *rule) bool { return r.age == 0 })
}

// part is what a sweep removes of an event.
type part int

const (
	whole part = iota
	bodiesOnly
	filesOnly // stored files
)

// sweep goes through the events of a state, the oldest first.
type sweep struct {
	state  event.Status
	what   part
	images bool // the files of events that are removed are deleted

	cursor event.ID  // the latest event that was looked at
	begun  time.Time // when the cursor was at the beginning
}

// sweepWith returns what removes the next events of a sweep.
func (r *Retention) sweepWith(s *sweep) func(ctx context.Context, before time.Time) (int, bool, error) {
	return func(ctx context.Context, before time.Time) (int, bool, error) {
		if time.Since(s.begun) > sweepInterval {
			s.cursor, s.begun = "", time.Now()
		}
		found, err := r.deps.Store.find(ctx, *s, before)
		if err != nil {
			return 0, false, err
		}
		if len(found.events) == 0 {
			s.cursor = found.last
			return 0, found.more, nil
		}
		now := r.deps.Store.now()
		n, err := r.deps.Store.remove(ctx, *s, found.events, before, func(ctx context.Context, events []inbox.Identity) error {
			switch s.what {
			case bodiesOnly:
				return r.deps.Inbox.Purge(ctx, events)
			case filesOnly:
				return nil
			default:
				return r.deps.Inbox.Remove(ctx, events, now)
			}
		})
		if err == nil {
			s.cursor = found.last
		}
		return n, found.more, err
	}
}

func (r *Retention) removeRejections(ctx context.Context, before time.Time) (int, bool, error) {
	ids, err := r.deps.Inbox.OldRejections(ctx, before, maxSmall)
	if err != nil || len(ids) == 0 {
		return 0, false, err
	}
	if err := r.deps.Inbox.DeleteRejections(ctx, ids); err != nil {
		return 0, false, err
	}
	return len(ids), len(ids) == maxSmall, nil
}

func (r *Retention) removeTombstones(ctx context.Context, before time.Time) (int, bool, error) {
	sequences, err := r.deps.Inbox.Tombstones(ctx, before, maxSmall)
	if err != nil || len(sequences) == 0 {
		return 0, false, err
	}
	if err := r.deps.Inbox.DeleteTombstones(ctx, sequences); err != nil {
		return 0, false, err
	}
	return len(sequences), len(sequences) == maxSmall, nil
}

func (r *Retention) removeThumbnails(_ context.Context, before time.Time) (int, bool, error) {
	n := r.deps.Thumbnails.RemoveUnused(before, maxSmall)
	return n, n == maxSmall, nil
}

// maxPages bounds the pages of 4 KiB that one transaction returns to the file system.
const maxPages = 256

// shrink returns some of the free space of a file to the file system, and reports whether there is more.
func shrink(ctx context.Context, f file) (more bool, err error) {
	surplus, err := f.Surplus(ctx)
	if err != nil || surplus == 0 {
		return false, err
	}
	return surplus > maxPages, f.Shrink(ctx, min(surplus, maxPages))
}
