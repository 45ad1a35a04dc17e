package replay

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/google/uuid"
)

// ErrBusy says that a replay of many events is under way already.
var ErrBusy = errors.New("replay: another replay of many events is under way")

// BulkReplay is a replay of many events, as far as it has come.
type BulkReplay struct {
	ID       string         `json:"-"`
	Filter   history.Filter `json:"-"`
	Cursor   event.ID       `json:"-"`      // the last event that was replayed, from the newest on; "" before the first
	Events   int            `json:"events"` // replayed so far
	Steps    int            `json:"steps"`
	Begun    time.Time      `json:"started_at,omitzero"`
	Finished time.Time      `json:"finished_at,omitzero"` // zero while it runs
	Failed   bool           `json:"failed,omitempty"`     // it was given up

	db     *database.DB
	holder string
}

// Store keeps bulk replays in the work database.
type Store struct{ writer *database.Writer }

// NewStore returns a Store that writes with writer.
func NewStore(writer *database.Writer) *Store { return &Store{writer: writer} }

const columns = "id, filter, cursor, events, steps, begun_at, finished_at, failed, holder"

// Create writes down that the dead steps of the events are to run again that a filter lets through, for whoever takes
// it up. It gives ErrBusy while there is another, in any replica.
func (s *Store) Create(ctx context.Context, filter history.Filter) error {
	asked, err := json.Marshal(filter)
	if err != nil {
		return database.Wrap("replay: create", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return database.Wrap("replay: create", err)
	}
	added, err := s.change(ctx, `INSERT INTO bulk_replays (id, slot, filter, cursor, events, steps, begun_at, holder, lease_until, failed)
		VALUES ($1, 1, $2, '', 0, 0, $3, '', 0, 0) ON CONFLICT (slot) DO NOTHING`, id.String(), string(asked), time.Now().UnixMicro())
	switch {
	case err != nil:
		return database.Wrap("replay: create", err)
	case !added:
		return ErrBusy
	}
	_, err = s.change(ctx, "DELETE FROM bulk_replays WHERE slot IS NULL AND id < $1", id.String()) // they are told of no more
	return database.Wrap("replay: create", err)
}

// Acquire takes the one that is under way, unless somebody has it whose lease is not over; database.ErrNotFound says that
// there is nothing to take. It goes on after its cursor.
func (s *Store) Acquire(ctx context.Context, lease time.Duration) (BulkReplay, error) {
	now := time.Now()
	const free = "FROM bulk_replays WHERE slot = 1 AND lease_until <= $1"
	if _, err := s.load(ctx, free, now.UnixMicro()); err != nil {
		return BulkReplay{}, err // most often there is nothing, and then nothing is written
	}
	holder := uuid.NewString()
	_, err := s.change(ctx, "UPDATE bulk_replays SET holder = $1, lease_until = $2 WHERE slot = 1 AND lease_until <= $3",
		holder, now.Add(lease).UnixMicro(), now.UnixMicro())
	if err != nil {
		return BulkReplay{}, database.Wrap("replay: acquire", err)
	}
	return s.load(ctx, "FROM bulk_replays WHERE slot = 1 AND holder = $1", holder)
}

// Renew has the holder keep it for another lease; without one, anybody can take it. It gives workflow.ErrStale when another has it.
func (s *Store) Renew(ctx context.Context, r BulkReplay, lease time.Duration) error {
	return s.held(ctx, "UPDATE bulk_replays SET lease_until = $1 WHERE id = $2 AND holder = $3",
		time.Now().Add(lease).UnixMicro(), r.ID, r.holder)
}

// End ends it, at its end or because it is given up. It gives workflow.ErrStale when another has it.
func (s *Store) End(ctx context.Context, r BulkReplay, failed bool) error {
	given := 0
	if failed {
		given = 1
	}
	return s.held(ctx, "UPDATE bulk_replays SET slot = NULL, finished_at = $1, failed = $2 WHERE id = $3 AND holder = $4 AND slot = 1",
		time.Now().UnixMicro(), given, r.ID, r.holder)
}

// ReleaseLease ends the lease that a process left that died. In Postgres it does nothing: there the holder may live elsewhere.
func (s *Store) ReleaseLease(ctx context.Context) error {
	if s.writer.DB.Kind == database.Postgres {
		return nil
	}
	_, err := s.change(ctx, "UPDATE bulk_replays SET lease_until = 0 WHERE slot = 1")
	return database.Wrap("replay: release lease", err)
}

// Latest is the one that is under way, or else the latest, or database.ErrNotFound.
func (s *Store) Latest(ctx context.Context) (BulkReplay, error) {
	return s.load(ctx, "FROM bulk_replays ORDER BY id DESC LIMIT 1")
}

// Lock returns workflow.ErrStale if another process has the bulk replay, and keeps it from taking it until the transaction ends.
func (r BulkReplay) Lock(ctx context.Context, tx *sql.Tx) error {
	if err := r.db.Lock(ctx, tx, "bulk_replays", r.ID); err != nil {
		return err
	}
	var held int
	err := tx.QueryRowContext(ctx, "SELECT count(*) FROM bulk_replays WHERE id = $1 AND holder = $2 AND slot = 1", r.ID, r.holder).Scan(&held)
	if err == nil && held == 0 {
		return workflow.ErrStale
	}
	return err
}

// Advance records, in the transaction that replays an event, that the bulk replay has come to it.
func (r BulkReplay) Advance(ctx context.Context, tx *sql.Tx, id event.ID, steps int) error {
	_, err := tx.ExecContext(ctx, "UPDATE bulk_replays SET cursor = $1, events = events + 1, steps = steps + $2 WHERE id = $3", string(id), steps, r.ID)
	return err
}

func (s *Store) held(ctx context.Context, statement string, arguments ...any) error {
	changed, err := s.change(ctx, statement, arguments...)
	if err == nil && !changed {
		return workflow.ErrStale
	}
	return database.Wrap("replay: rerun", err)
}

// change changes at most one row, in a transaction that holds no lock but that of the row: replays lock it after their event.
func (s *Store) change(ctx context.Context, statement string, arguments ...any) (changed bool, err error) {
	rows, err := s.writer.Exec(ctx, statement, arguments...)
	return rows > 0, err
}

func (s *Store) load(ctx context.Context, rest string, arguments ...any) (r BulkReplay, err error) {
	var asked string
	var begun int64
	var finished sql.NullInt64
	var failed int
	err = s.writer.DB.Reader.QueryRowContext(ctx, "SELECT "+columns+" "+rest, arguments...).
		Scan(&r.ID, &asked, &r.Cursor, &r.Events, &r.Steps, &begun, &finished, &failed, &r.holder)
	if err := database.NotFound(err); err != nil {
		return BulkReplay{}, database.Wrap("replay: rerun", err)
	}
	r.db = s.writer.DB
	r.Begun, r.Finished, r.Failed = database.FromMicros(begun), database.FromMicros(finished.Int64), failed != 0
	return r, database.Wrap("replay: rerun", json.Unmarshal([]byte(asked), &r.Filter))
}
