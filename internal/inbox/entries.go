package inbox

import (
	"cmp"
	"fmt"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/google/uuid"
)

// entry is one thing to be written. The writer fills in the outcome; whoever
// waits reads it once the entry is settled.
type entry interface {
	size() int // bytes, about
}

// acceptance is an event that wants to be stored.
type acceptance struct {
	event   event.Event // with the id it gets if it is new
	receipt event.Receipt
	first   *acceptance // the same event earlier in the same batch, whose receipt counts
	unknown error       // it is stored, and under which id could not be found out
}

func newAcceptance(e event.Event) (*acceptance, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("inbox: new id: %w", err)
	}
	e.ID = event.ID(id.String())
	return &acceptance{event: e}, nil
}

// sourceText is the source as it is stored, "" for nobody.
func sourceText(e *event.Event) string {
	if !e.Source.IsValid() {
		return ""
	}
	return e.Source.String()
}

func originText(e *event.Event) string { return string(cmp.Or(e.Origin, event.OriginCallback)) }

func (a *acceptance) size() int { return len(a.event.Body) + len(a.event.Job) }

// rejectionEntry is a body that was no event and wants to be kept.
type rejectionEntry struct{ rejection event.Rejection }

func (r *rejectionEntry) size() int { return len(r.rejection.Body) }

// relayedEntry is a set of events that leaves the outbox.
type relayedEntry struct{ sequences []int64 }

func (r *relayedEntry) size() int { return 8 * len(r.sequences) }

// probeEntry is a write that proves that the store takes writes.
type probeEntry struct{ now time.Time }

func (p *probeEntry) size() int { return 0 }
