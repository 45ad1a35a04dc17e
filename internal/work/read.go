package work

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// Event is an event as the history knows it.
type Event struct {
	ID       event.ID
	Sequence int64
	Job      string
	Received time.Time
	Bytes    int64 // length of the body
	State    event.Status

	Source    netip.Addr   // who told us; the zero Addr for nobody
	Origin    event.Origin // how we came to know of it
	ResultURL string       // where the vendor itself says that the result is, signatures and all; "" if it was not asked
	Verified  time.Time    // when it said so of the job; zero if it did not
	Recheck   time.Time    // when a person last wanted it to be asked again

	key sql.NullString // what it has claimed
}

// Step is one handler's part of an event.
type Step struct {
	Handler string
	State   event.Status
	Tries   int       // attempts that count against the cap
	NextAt  time.Time // when it is tried again; zero if it is not
	Reason  event.Reason
	Detail  string
	Changed time.Time
	History []Run
}

// Run is one attempt of a step, as it went.
type Run struct {
	Number   int
	Started  time.Time
	Finished time.Time // zero while it runs, or when the process died in it
	Outcome  event.Status
	Reason   event.Reason
	Detail   string
}

// History is everything the store knows of one event.
type History struct {
	Event     Event
	Steps     []Step
	Artifacts []event.Artifact
}

// Load gives the history of one event, or ErrNotFound.
func (s *Store) Load(ctx context.Context, id event.ID) (History, error) {
	var h History
	found, err := s.events(ctx, "FROM events WHERE id = $1", string(id))
	if err != nil {
		return h, err
	}
	if len(found) == 0 {
		return h, ErrNotFound
	}
	h.Event = found[0]
	if h.Steps, err = s.steps(ctx, id); err != nil {
		return h, err
	}
	h.Artifacts, err = artifacts(ctx, s.database.Reader, id)
	return h, err
}

// Sequence is the number of an event in the inbox, where its body is, or ErrNotFound.
func (s *Store) Sequence(ctx context.Context, id event.ID) (int64, error) {
	found, err := s.events(ctx, "FROM events WHERE id = $1", string(id))
	if err != nil {
		return 0, err
	}
	if len(found) == 0 {
		return 0, ErrNotFound
	}
	return found[0].Sequence, nil
}

// List gives the newest events that were received before the one named (all if ""), at most limit of them.
func (s *Store) List(ctx context.Context, before event.ID, limit int) ([]Event, error) {
	if before == "" {
		return s.events(ctx, "FROM events ORDER BY id DESC LIMIT $1", limit)
	}
	return s.events(ctx, "FROM events WHERE id < $1 ORDER BY id DESC LIMIT $2", string(before), limit)
}

// Counts says how many events are in each state.
func (s *Store) Counts(ctx context.Context) (map[event.Status]int64, error) {
	rows, err := s.database.Reader.QueryContext(ctx, "SELECT state, count(*) FROM events GROUP BY state")
	if err != nil {
		return nil, fmt.Errorf("work: counts: %w", err)
	}
	counts := map[event.Status]int64{}
	err = each(rows, func() error {
		var state event.Status
		var n int64
		if err := rows.Scan(&state, &n); err != nil {
			return err
		}
		counts[state] = n
		return nil
	})
	return counts, wrap("counts", err)
}

func (s *Store) events(ctx context.Context, rest string, arguments ...any) ([]Event, error) {
	return queryEvents(ctx, s.database.Reader, rest, arguments...)
}

func queryEvents(ctx context.Context, from querier, rest string, arguments ...any) ([]Event, error) {
	rows, err := from.QueryContext(ctx, `SELECT events.id, events.seq, events.job, events.received_at, events.bytes, events.state,
		events.source, events.origin, events.result_url, events.verified_at, events.recheck_at, events.result_key `+rest, arguments...)
	if err != nil {
		return nil, wrap("events", err)
	}
	var events []Event
	err = each(rows, func() error {
		var e Event
		var received int64
		var source string
		var verified, recheck sql.NullInt64
		err := rows.Scan(&e.ID, &e.Sequence, &e.Job, &received, &e.Bytes, &e.State, &source, &e.Origin, &e.ResultURL, &verified, &recheck, &e.key)
		if err != nil {
			return err
		}
		e.Received, e.Verified, e.Recheck = moment(received), moment(verified.Int64), moment(recheck.Int64)
		e.Source, _ = netip.ParseAddr(source) // "" is nobody
		events = append(events, e)
		return nil
	})
	return events, wrap("events", err)
}

func (s *Store) steps(ctx context.Context, id event.ID) ([]Step, error) {
	rows, err := s.database.Reader.QueryContext(ctx, `
		SELECT s.handler, s.state, s.tries, s.next_at, s.reason, s.detail, s.changed_at,
		       a.attempt, a.started_at, a.finished_at, a.outcome, a.reason, a.detail
		FROM steps s LEFT JOIN attempts a ON a.event_id = s.event_id AND a.handler = s.handler
		WHERE s.event_id = $1 ORDER BY s.position, s.handler, a.attempt`, string(id))
	if err != nil {
		return nil, wrap("steps", err)
	}
	var steps []Step
	err = each(rows, func() error {
		step, run, err := scanStep(rows)
		if err != nil {
			return err
		}
		if n := len(steps); n == 0 || steps[n-1].Handler != step.Handler {
			steps = append(steps, step)
		}
		if run.Number > 0 {
			last := &steps[len(steps)-1]
			last.History = append(last.History, run)
		}
		return nil
	})
	return steps, wrap("steps", err)
}

// scanStep reads a step beside one of its attempts, if it has any.
func scanStep(rows *sql.Rows) (Step, Run, error) {
	var step Step
	var run Run
	var changed int64
	var next, number, started, finished sql.NullInt64
	var outcome, reason, detail sql.NullString
	err := rows.Scan(&step.Handler, &step.State, &step.Tries, &next, &step.Reason, &step.Detail, &changed,
		&number, &started, &finished, &outcome, &reason, &detail)
	step.Changed, step.NextAt = moment(changed), moment(next.Int64)
	run.Number, run.Started, run.Finished = int(number.Int64), moment(started.Int64), moment(finished.Int64)
	run.Outcome, run.Reason, run.Detail = event.Status(outcome.String), event.Reason(reason.String), detail.String
	return step, run, err
}

// querier reads, from the pool of readers or within a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, arguments ...any) (*sql.Rows, error)
}

func artifacts(ctx context.Context, from querier, id event.ID) ([]event.Artifact, error) {
	rows, err := from.QueryContext(ctx, `
		SELECT handler, position, source, key, url, bytes, sha256, media_type, width, height, stored_at
		FROM artifacts WHERE event_id = $1 ORDER BY handler, position`, string(id))
	if err != nil {
		return nil, wrap("artifacts", err)
	}
	var stored []event.Artifact
	err = each(rows, func() error {
		var a event.Artifact
		var at int64
		err := rows.Scan(&a.Handler, &a.Index, &a.Source, &a.Key, &a.URL, &a.Bytes, &a.SHA256, &a.MediaType, &a.Width, &a.Height, &at)
		a.Stored = moment(at)
		stored = append(stored, a)
		return err
	})
	return stored, wrap("artifacts", err)
}

// each runs scan for every row and closes them.
func each(rows *sql.Rows, scan func() error) error {
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(); err != nil {
			return err
		}
	}
	return rows.Err()
}

// moment reads a time as the store writes it; 0 is none.
func moment(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

func wrap(name string, err error) error {
	if err == nil || errors.Is(err, ErrNotFound) {
		return err
	}
	return fmt.Errorf("work: %s: %w", name, err)
}
