package inbox

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/google/uuid"
)

// kind is what an entry writes.
type kind int

const (
	storeEvent       kind = iota // event, into the outbox too
	storeRejection               // rejection
	deleteRejection              // the rejections with the numbers in sequences
	removeRelayed                // sequences, from the outbox
	removeEvents                 // or their bodies, as removal says
	deleteTombstones             // with the numbers in sequences
	shrinkFile                   // by the number of pages
	storeRenewal                 // renewal
	deleteRenewal                // the renewal
	probe                        // a row that proves that the database accepts writes
)

// entry is one write, which shares a transaction with others. The writer sets the result; the caller reads it after the commit.
type entry struct {
	kind      kind
	event     event.Event // with the id that it gets if it is new
	rejection event.Rejection
	sequences []int64
	removal   removal
	pages     int
	renewal   *renewal

	// Result of storeEvent.
	receipt event.Receipt
	first   *entry // the same event earlier in the batch, whose receipt counts; nil if there is none
	err     error  // the event is stored, but its id could not be read
}

// newEventEntry returns an entry that stores the event under a new id.
func newEventEntry(e event.Event) (*entry, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("inbox: create event id: %w", err)
	}
	e.ID = event.ID(id.String())
	return &entry{kind: storeEvent, event: e}, nil
}

// hasSignedDigest reports whether the event may be stored with another digest than its own; see event.Event.SignedDigest.
func (e *entry) hasSignedDigest() bool {
	return e.event.SignedDigest != e.event.Digest && e.event.SignedDigest != event.Digest{}
}

// size returns the approximate number of bytes that the entry writes.
func (e *entry) size() int {
	size := len(e.event.Body) + len(e.event.Job) + len(e.event.Input) + len(e.event.Reference) + len(e.rejection.Body) + 8*len(e.sequences) +
		bytesPerRemoval*len(e.removal.events)
	if e.event.Original != nil {
		size += len(e.event.Original.Body)
	}
	if e.renewal != nil {
		size += len(e.renewal.urls)
	}
	return size
}

// compareIdentity orders entries by the job and the digest of their events.
func compareIdentity(a, b *entry) int {
	return cmp.Or(strings.Compare(a.event.Job, b.event.Job), bytes.Compare(a.event.Digest[:], b.event.Digest[:]))
}

// batch is the entries of one transaction, by their kinds.
type batch struct {
	events     []*entry
	rejections []*event.Rejection
	relayed    []int64
	deleted    []int64 // rejections
	removals   []removal
	tombstones []int64    // to delete
	pages      int        // to return to the file system
	renewals   []*renewal // to store
	renewed    []*renewal // to delete
	probe      bool
}

func newBatch(entries []*entry) batch {
	b := batch{events: make([]*entry, 0, len(entries))}
	for _, e := range entries {
		switch e.kind {
		case storeEvent:
			b.events = append(b.events, e)
		case storeRejection:
			b.rejections = append(b.rejections, &e.rejection)
		case deleteRejection:
			b.deleted = append(b.deleted, e.sequences...)
		case removeRelayed:
			b.relayed = append(b.relayed, e.sequences...)
		case removeEvents:
			b.removals = append(b.removals, e.removal)
		case deleteTombstones:
			b.tombstones = append(b.tombstones, e.sequences...)
		case storeRenewal:
			b.renewals = append(b.renewals, e.renewal)
		case deleteRenewal:
			b.renewed = append(b.renewed, e.renewal)
		case shrinkFile:
			b.pages += e.pages
		case probe:
			b.probe = true
		}
	}
	return b
}

// firstOfEach returns the entries without repeats of an event, and links each repeat to the first one.
func firstOfEach(events []*entry) []*entry {
	if len(events) < 2 {
		return events
	}
	type identity struct {
		job    string
		digest event.Digest
	}
	seen := make(map[identity]*entry, len(events))
	unique := make([]*entry, 0, len(events))
	for _, e := range events {
		key := identity{e.event.Job, e.event.Digest}
		if first, repeated := seen[key]; repeated {
			e.first = first
			continue
		}
		seen[key] = e
		unique = append(unique, e)
	}
	return unique
}

// copyReceipts sets the results of repeated events.
func copyReceipts(events []*entry) {
	for _, e := range events {
		if e.first != nil {
			e.receipt, e.err = event.Receipt{ID: e.first.receipt.ID, Duplicate: true}, e.first.err
		}
	}
}

// sourceText returns the client IP as it is stored, "" if it is not known.
func sourceText(e *event.Event) string {
	if !e.Source.IsValid() {
		return ""
	}
	return e.Source.String()
}

func originText(e *event.Event) string { return string(cmp.Or(e.Origin, event.OriginCallback)) }

// notNull returns an empty body as an empty value, which the driver would write as NULL.
func notNull(body []byte) []byte {
	if body == nil {
		return []byte{}
	}
	return body
}
