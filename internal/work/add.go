package work

import (
	"cmp"
	"context"
	"database/sql"
	"net/netip"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/queue"
)

// maxRows is how many rows one insert has at most.
const maxRows = 500

// Arrival is an event that the relay brings: what the inbox knows of it without its body.
type Arrival struct {
	Sequence int64
	ID       event.ID
	Job      string
	Digest   event.Digest
	Received time.Time
	Bytes    int64
	Source   netip.Addr
	Origin   event.Origin
	Token    []byte // SHA-256 of the token of one job that it came with; nil without one
}

// Take gives the events that are to be added. It runs in the transaction that adds
// them, so that taking them from a place in the same database is part of it.
type Take func(ctx context.Context, tx *sql.Tx) ([]Arrival, error)

// Add takes events in, each with one step per handler. Stages are handlers in the order
// in which they come: the steps of the first stage are pending and have their jobs, those
// of a later one wait until all before are done. An event that is there already is left
// alone, so that bringing it again after a crash changes nothing.
func (s *Store) Add(ctx context.Context, arrivals []Arrival, stages [][]string) error {
	_, err := s.AddFrom(ctx, func(context.Context, *sql.Tx) ([]Arrival, error) { return arrivals, nil }, stages)
	return err
}

// AddFrom is Add for the events that take gives, and says how many those are.
func (s *Store) AddFrom(ctx context.Context, take Take, stages [][]string) (taken int, err error) {
	err = s.write(ctx, "add", "", func(ctx context.Context, tx *sql.Tx) error {
		arrivals, err := take(ctx, tx)
		if taken = len(arrivals); err != nil || taken == 0 {
			return err
		}
		fresh, err := insertEvents(ctx, tx, arrivals)
		if err != nil {
			return err
		}
		if err := s.insertSteps(ctx, tx, fresh, stages); err != nil {
			return err
		}
		if err := useTokens(ctx, tx, arrivals); err != nil {
			return err
		}
		return settleArrivals(ctx, tx, arrivals)
	})
	return taken, err
}

// insertEvents gives the ids of those that were not there.
func insertEvents(ctx context.Context, tx *sql.Tx, arrivals []Arrival) (fresh []event.ID, err error) {
	insert := insertion{into: "events (id, seq, job, received_at, bytes, state, source, origin)", columns: 8, rest: " ON CONFLICT (id) DO NOTHING RETURNING id"}
	for _, a := range arrivals {
		insert.add(string(a.ID), a.Sequence, a.Job, a.Received.UnixMicro(), a.Bytes, string(event.Pending),
			addressText(a.Source), string(cmp.Or(a.Origin, event.OriginCallback)))
	}
	err = insert.run(ctx, tx, func(rows *sql.Rows) error {
		var id event.ID
		err := rows.Scan(&id)
		fresh = append(fresh, id)
		return err
	})
	return fresh, err
}

// addressText is an address as it is stored, "" for none.
func addressText(address netip.Addr) string {
	if !address.IsValid() {
		return ""
	}
	return address.String()
}

func (s *Store) insertSteps(ctx context.Context, tx *sql.Tx, ids []event.ID, stages [][]string) error {
	insert := insertion{into: "steps (event_id, handler, position, state, since, changed_at)", columns: 6}
	now := time.Now().UnixMicro()
	var jobs []queue.Job
	for _, id := range ids {
		state := event.Pending
		for position, handlers := range stages {
			for _, name := range handlers {
				insert.add(string(id), name, position, string(state), now, now)
				if position == 0 {
					jobs = append(jobs, queue.Job{Event: id, Handler: name})
				}
			}
			state = event.Waiting
		}
	}
	if err := insert.run(ctx, tx, nil); err != nil {
		return err
	}
	return s.jobs.Insert(ctx, tx, jobs)
}

// insertion gathers rows for inserts of many at a time.
type insertion struct {
	into    string // table and columns
	columns int
	rest    string // what follows the values
	values  []any
}

func (i *insertion) add(row ...any) { i.values = append(i.values, row...) }

// run inserts the rows; each is called for every row that an insert returns.
func (i *insertion) run(ctx context.Context, tx *sql.Tx, scan func(*sql.Rows) error) error {
	for len(i.values) > 0 {
		count := min(len(i.values)/i.columns, maxRows)
		chunk := i.values[:count*i.columns]
		i.values = i.values[len(chunk):]
		//nolint:gosec // nothing but names of ours and numbered parameters
		rows, err := tx.QueryContext(ctx, "INSERT INTO "+i.into+" VALUES "+database.Values(count, i.columns)+i.rest, chunk...)
		if err != nil {
			return err
		}
		if err := each(rows, func() error { return scan(rows) }); err != nil {
			return err
		}
	}
	return nil
}
