// Package history reads events with their steps, attempts and artifacts: lists, filters, counts and single events.
package history

import (
	"context"
	"database/sql"
	"net/netip"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// Event is an event with its state, without its body and steps.
type Event struct {
	ID  event.ID `json:"id"`
	Job string   `json:"job"`
	event.Names
	Received time.Time    `json:"received_at"`
	Bytes    int64        `json:"bytes"` // length of the body
	State    event.Status `json:"status"`

	Source    netip.Addr   `json:"source,omitzero"` // client IP of the callback; zero without a callback
	Origin    event.Origin `json:"origin,omitempty"`
	ResultURL string       `json:"-"`                    // from the vendor's API, with its signature: a secret; "" if it was not asked
	Verified  time.Time    `json:"verified_at,omitzero"` // when the vendor's API confirmed the job
}

// Step is one handler's part of an event.
type Step struct {
	Handler  string       `json:"handler"`
	State    event.Status `json:"status"`
	Tries    int          `json:"tries"`            // attempts that count towards the maximum
	NextAt   time.Time    `json:"next_at,omitzero"` // of the next attempt
	Reason   event.Reason `json:"reason,omitempty"`
	Detail   string       `json:"detail,omitempty"`
	Changed  time.Time    `json:"changed_at"`
	Attempts []Attempt    `json:"attempts"`
}

// Attempt is one attempt of a step, with its outcome.
type Attempt struct {
	Number   int          `json:"number"`
	Started  time.Time    `json:"started_at"`
	Finished time.Time    `json:"finished_at,omitzero"` // zero while it runs, or if the process died
	Outcome  event.Status `json:"outcome"`
	Reason   event.Reason `json:"reason,omitempty"`
	Detail   string       `json:"detail,omitempty"`
}

// Details is one event with its steps, attempts and artifacts.
type Details struct {
	Event     Event
	Steps     []Step
	Artifacts []event.Artifact
}

// ErrNotFound means that there is no such event.
var ErrNotFound = database.ErrNotFound

// Store reads the history. It is safe for use by many goroutines.
type Store struct{ writer *database.Writer }

// New returns a Store that reads the database of writer.
func New(writer *database.Writer) *Store { return &Store{writer: writer} }

// Load returns one event with its steps, attempts and artifacts, or ErrNotFound.
func (s *Store) Load(ctx context.Context, id event.ID) (Details, error) {
	var d Details
	found, err := s.events(ctx, "FROM events WHERE id = $1", string(id))
	if err != nil {
		return d, err
	}
	if len(found) == 0 {
		return d, ErrNotFound
	}
	d.Event = found[0]
	if d.Steps, err = s.steps(ctx, id); err != nil {
		return d, err
	}
	d.Artifacts, err = Artifacts(ctx, s.writer.DB.Reader, id)
	return d, err
}

// Event returns an event without its steps and artifacts, or ErrNotFound.
func (s *Store) Event(ctx context.Context, id event.ID) (Event, error) {
	found, err := s.events(ctx, "FROM events WHERE id = $1", string(id))
	if err != nil {
		return Event{}, err
	}
	if len(found) == 0 {
		return Event{}, ErrNotFound
	}
	return found[0], nil
}

// List returns at most limit events, the newest first, that are older than the event before ("" for all).
func (s *Store) List(ctx context.Context, before event.ID, limit int) ([]Event, error) {
	if before == "" {
		return s.events(ctx, "FROM events ORDER BY id DESC LIMIT $1", limit)
	}
	return s.events(ctx, "FROM events WHERE id < $1 ORDER BY id DESC LIMIT $2", string(before), limit)
}

// Counts returns the number of events in each state.
func (s *Store) Counts(ctx context.Context) (map[event.Status]int64, error) {
	rows, err := database.Query(ctx, s.writer.DB.Reader, "SELECT state, count(*) FROM events GROUP BY state")
	if err != nil {
		return nil, database.Wrap("history: counts", err)
	}
	counts := map[event.Status]int64{}
	err = rows.ForEach(func() error {
		var state event.Status
		var n int64
		if err := rows.Scan(&state, &n); err != nil {
			return err
		}
		counts[state] = n
		return nil
	})
	return counts, database.Wrap("history: counts", err)
}

// events runs a query for events; rest follows the columns.
func (s *Store) events(ctx context.Context, rest string, arguments ...any) ([]Event, error) {
	rows, err := database.Query(ctx, s.writer.DB.Reader, `SELECT events.id, events.job, events.received_at, events.bytes, events.state,
		events.source, events.origin, events.input, events.reference, events.result_url, events.verified_at `+rest, arguments...)
	if err != nil {
		return nil, database.Wrap("history: events", err)
	}
	var events []Event
	err = rows.ForEach(func() error {
		var e Event
		var received int64
		var source string
		var verified sql.NullInt64
		err := rows.Scan(&e.ID, &e.Job, &received, &e.Bytes, &e.State, &source, &e.Origin, &e.Input, &e.Reference, &e.ResultURL, &verified)
		if err != nil {
			return err
		}
		e.Received, e.Verified = database.FromMicros(received), database.FromMicros(verified.Int64)
		e.Source, _ = netip.ParseAddr(source) // "" is the zero Addr
		events = append(events, e)
		return nil
	})
	return events, database.Wrap("history: events", err)
}

func (s *Store) steps(ctx context.Context, id event.ID) ([]Step, error) {
	rows, err := database.Query(ctx, s.writer.DB.Reader, `
		SELECT s.handler, s.state, s.tries, s.next_at, s.reason, s.detail, s.changed_at,
		       a.attempt, a.started_at, a.finished_at, a.outcome, a.reason, a.detail
		FROM steps s LEFT JOIN attempts a ON a.event_id = s.event_id AND a.handler = s.handler
		WHERE s.event_id = $1 ORDER BY s.position, s.handler, a.attempt`, string(id))
	if err != nil {
		return nil, database.Wrap("history: steps", err)
	}
	var steps []Step
	err = rows.ForEach(func() error {
		step, attempt, err := scanStep(rows)
		if err != nil {
			return err
		}
		if n := len(steps); n == 0 || steps[n-1].Handler != step.Handler {
			steps = append(steps, step)
		}
		if attempt.Number > 0 {
			last := &steps[len(steps)-1]
			last.Attempts = append(last.Attempts, attempt)
		}
		return nil
	})
	return steps, database.Wrap("history: steps", err)
}

// scanStep reads a step and one of its attempts; the attempt has the number 0 if the step has none.
func scanStep(rows *database.Rows) (Step, Attempt, error) {
	var step Step
	var attempt Attempt
	var changed int64
	var next, number, started, finished sql.NullInt64
	var outcome, reason, detail sql.NullString
	err := rows.Scan(&step.Handler, &step.State, &step.Tries, &next, &step.Reason, &step.Detail, &changed,
		&number, &started, &finished, &outcome, &reason, &detail)
	step.Attempts = []Attempt{}
	step.Changed, step.NextAt = database.FromMicros(changed), database.FromMicros(next.Int64)
	attempt.Number, attempt.Started, attempt.Finished = int(number.Int64), database.FromMicros(started.Int64), database.FromMicros(finished.Int64)
	attempt.Outcome, attempt.Reason, attempt.Detail = event.Status(outcome.String), event.Reason(reason.String), detail.String
	return step, attempt, err
}

// Artifacts returns the artifacts of an event, in the order of their handlers and positions.
func Artifacts(ctx context.Context, from database.Querier, id event.ID) ([]event.Artifact, error) {
	rows, err := database.Query(ctx, from, `
		SELECT handler, position, source, key, url, bytes, sha256, media_type, width, height, stored_at
		FROM artifacts WHERE event_id = $1 ORDER BY handler, position`, string(id))
	if err != nil {
		return nil, database.Wrap("history: artifacts", err)
	}
	var stored []event.Artifact
	err = rows.ForEach(func() error {
		var a event.Artifact
		var at int64
		err := rows.Scan(&a.Handler, &a.Index, &a.Source, &a.Key, &a.URL, &a.Bytes, &a.SHA256, &a.MediaType, &a.Width, &a.Height, &at)
		a.Stored = database.FromMicros(at)
		stored = append(stored, a)
		return err
	})
	return stored, database.Wrap("history: artifacts", err)
}
