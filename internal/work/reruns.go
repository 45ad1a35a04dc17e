package work

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/google/uuid"
)

// ErrBusy says that a replay of many events is under way already.
var ErrBusy = errors.New("work: another replay of many events is under way")

// Rerun is a replay of many events, as far as it has come.
type Rerun struct {
	ID            string
	Filter        Filter
	Cursor        event.ID // the event it has come to, from the newest on; "" before the first
	Events, Steps int      // replayed so far
	Begun         time.Time
	Finished      time.Time // zero while it is under way
	Failed        bool      // it was given up

	holder string
}

const rerunColumns = "id, filter, cursor, events, steps, begun_at, finished_at, failed, holder"

// BeginRerun writes down that the dead steps of the events are to run again that a filter lets through, for whoever takes
// it up. It gives ErrBusy while there is another, in any replica.
func (s *Store) BeginRerun(ctx context.Context, filter Filter) error {
	asked, err := json.Marshal(filter)
	if err != nil {
		return wrap("begin rerun", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return wrap("begin rerun", err)
	}
	added, err := s.changeRerun(ctx, `INSERT INTO reruns (id, slot, filter, cursor, events, steps, begun_at, holder, lease_until, failed)
		VALUES ($1, 1, $2, '', 0, 0, $3, '', 0, 0) ON CONFLICT (slot) DO NOTHING`, id.String(), string(asked), time.Now().UnixMicro())
	switch {
	case err != nil:
		return wrap("begin rerun", err)
	case !added:
		return ErrBusy
	}
	_, err = s.changeRerun(ctx, "DELETE FROM reruns WHERE slot IS NULL AND id < $1", id.String()) // they are told of no more
	return wrap("begin rerun", err)
}

// TakeRerun takes the one that is under way, unless somebody has it whose lease is not over; ErrNotFound says that
// there is nothing to take. It goes on after its cursor.
func (s *Store) TakeRerun(ctx context.Context, lease time.Duration) (Rerun, error) {
	now := time.Now()
	const free = "FROM reruns WHERE slot = 1 AND lease_until <= $1"
	if _, err := s.rerun(ctx, free, now.UnixMicro()); err != nil {
		return Rerun{}, err // most often there is nothing, and then nothing is written
	}
	holder := uuid.NewString()
	_, err := s.changeRerun(ctx, "UPDATE reruns SET holder = $1, lease_until = $2 WHERE slot = 1 AND lease_until <= $3",
		holder, now.Add(lease).UnixMicro(), now.UnixMicro())
	if err != nil {
		return Rerun{}, wrap("take rerun", err)
	}
	return s.rerun(ctx, "FROM reruns WHERE slot = 1 AND holder = $1", holder)
}

// KeepRerun has the holder keep it for another lease; without one, anybody can take it. It gives ErrStale when another has it.
func (s *Store) KeepRerun(ctx context.Context, r Rerun, lease time.Duration) error {
	return s.held(ctx, "UPDATE reruns SET lease_until = $1 WHERE id = $2 AND holder = $3",
		time.Now().Add(lease).UnixMicro(), r.ID, r.holder)
}

// EndRerun ends it, at its end or because it is given up. It gives ErrStale when another has it.
func (s *Store) EndRerun(ctx context.Context, r Rerun, failed bool) error {
	given := 0
	if failed {
		given = 1
	}
	return s.held(ctx, "UPDATE reruns SET slot = NULL, finished_at = $1, failed = $2 WHERE id = $3 AND holder = $4 AND slot = 1",
		time.Now().UnixMicro(), given, r.ID, r.holder)
}

// FreeRerun ends the lease that a process left that died. In Postgres it does nothing: there the holder may live elsewhere.
func (s *Store) FreeRerun(ctx context.Context) error {
	if s.database.Kind == database.Postgres {
		return nil
	}
	_, err := s.changeRerun(ctx, "UPDATE reruns SET lease_until = 0 WHERE slot = 1")
	return wrap("free rerun", err)
}

// LatestRerun is the one that is under way, or else the latest, or ErrNotFound.
func (s *Store) LatestRerun(ctx context.Context) (Rerun, error) {
	return s.rerun(ctx, "FROM reruns ORDER BY id DESC LIMIT 1")
}

// copyRerun goes on here with what is under way in the source, unless there is another. It comes last, when the events are here.
func (s *Store) copyRerun(ctx context.Context, source *database.DB) error {
	r, err := (&Store{database: source}).rerun(ctx, "FROM reruns WHERE slot = 1")
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	asked, err := json.Marshal(r.Filter)
	if err != nil {
		return err
	}
	_, err = s.changeRerun(ctx, `INSERT INTO reruns (id, slot, filter, cursor, events, steps, begun_at, holder, lease_until, failed)
		VALUES ($1, 1, $2, $3, $4, $5, $6, '', 0, 0) ON CONFLICT DO NOTHING`, r.ID, string(asked), string(r.Cursor), r.Events, r.Steps, r.Begun.UnixMicro())
	return err
}

// holds gives ErrStale when another has it, and keeps it from others until the end of the transaction.
func (s *Store) holds(ctx context.Context, tx *sql.Tx, r *Rerun) error {
	if r == nil {
		return nil
	}
	if err := s.database.Lock(ctx, tx, "reruns", r.ID); err != nil {
		return err
	}
	var held int
	err := tx.QueryRowContext(ctx, "SELECT count(*) FROM reruns WHERE id = $1 AND holder = $2 AND slot = 1", r.ID, r.holder).Scan(&held)
	if err == nil && held == 0 {
		return ErrStale
	}
	return err
}

// advance writes down, in the transaction of a replay, that it has come to an event.
func (r *Rerun) advance(ctx context.Context, tx *sql.Tx, id event.ID, steps int) error {
	if r == nil {
		return nil
	}
	_, err := tx.ExecContext(ctx, "UPDATE reruns SET cursor = $1, events = events + 1, steps = steps + $2 WHERE id = $3", string(id), steps, r.ID)
	return err
}

func (s *Store) held(ctx context.Context, statement string, arguments ...any) error {
	changed, err := s.changeRerun(ctx, statement, arguments...)
	if err == nil && !changed {
		return ErrStale
	}
	return wrap("rerun", err)
}

// changeRerun changes at most one row, in a transaction that holds no lock but that of the row: replays lock it after their event.
func (s *Store) changeRerun(ctx context.Context, statement string, arguments ...any) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	result, err := s.database.Writer.ExecContext(ctx, statement, arguments...)
	if err != nil {
		return false, err
	}
	s.writes.Add(1)
	n, err := result.RowsAffected()
	return n > 0, err
}

func (s *Store) rerun(ctx context.Context, rest string, arguments ...any) (r Rerun, err error) {
	var asked string
	var begun int64
	var finished sql.NullInt64
	var failed int
	err = s.database.Reader.QueryRowContext(ctx, "SELECT "+rerunColumns+" "+rest, arguments...).
		Scan(&r.ID, &asked, &r.Cursor, &r.Events, &r.Steps, &begun, &finished, &failed, &r.holder)
	if err := missing(err); err != nil {
		return Rerun{}, wrap("rerun", err)
	}
	r.Begun, r.Finished, r.Failed = moment(begun), moment(finished.Int64), failed != 0
	return r, wrap("rerun", json.Unmarshal([]byte(asked), &r.Filter))
}
