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

// ErrBusy means that another bulk replay is in progress.
var ErrBusy = errors.New("replay: another bulk replay is in progress")

// BulkReplay is a replay of all dead events that match a filter, with its progress.
type BulkReplay struct {
	ID       string         `json:"-"`
	Filter   history.Filter `json:"-"`
	Cursor   event.ID       `json:"-"`      // the last event that was replayed, from the newest on; "" before the first
	Events   int            `json:"events"` // replayed so far
	Steps    int            `json:"steps"`
	Begun    time.Time      `json:"started_at,omitzero"`
	Finished time.Time      `json:"finished_at,omitzero"` // zero while it runs
	Failed   bool           `json:"failed,omitempty"`     // the store failed for too long

	db     *database.DB
	holder string
}

// Store keeps bulk replays in the work database.
type Store struct{ writer *database.Writer }

// NewStore returns a Store that writes with writer.
func NewStore(writer *database.Writer) *Store { return &Store{writer: writer} }

const columns = "id, filter, cursor, events, steps, begun_at, finished_at, failed, holder"

// Create stores a bulk replay of the events that match a filter. A replica that acquires it runs it. Create returns ErrBusy while
// another one is in progress, in any replica. It deletes the ones that have ended.
func (s *Store) Create(ctx context.Context, filter history.Filter) error {
	text, err := json.Marshal(filter)
	if err != nil {
		return database.Wrap("replay: create", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return database.Wrap("replay: create", err)
	}
	added, err := s.change(ctx, `INSERT INTO bulk_replays (id, slot, filter, cursor, events, steps, begun_at, holder, lease_until, failed)
		VALUES ($1, 1, $2, '', 0, 0, $3, '', 0, 0) ON CONFLICT (slot) DO NOTHING`, id.String(), string(text), s.writer.DB.Now().UnixMicro())
	switch {
	case err != nil:
		return database.Wrap("replay: create", err)
	case !added:
		return ErrBusy
	}
	_, err = s.change(ctx, "DELETE FROM bulk_replays WHERE slot IS NULL AND id < $1", id.String())
	return database.Wrap("replay: create", err)
}

// Acquire leases the bulk replay that is in progress. It returns database.ErrNotFound if there is none, or if another process has a lease
// that is not over.
func (s *Store) Acquire(ctx context.Context, lease time.Duration) (BulkReplay, error) {
	now := s.writer.DB.Now()
	const available = "FROM bulk_replays WHERE slot = 1 AND lease_until <= $1"
	if _, err := s.load(ctx, available, now.UnixMicro()); err != nil {
		return BulkReplay{}, err // usually ErrNotFound, and then nothing is written
	}
	holder := uuid.NewString()
	_, err := s.change(ctx, "UPDATE bulk_replays SET holder = $1, lease_until = $2 WHERE slot = 1 AND lease_until <= $3",
		holder, now.Add(lease).UnixMicro(), now.UnixMicro())
	if err != nil {
		return BulkReplay{}, database.Wrap("replay: acquire", err)
	}
	return s.load(ctx, "FROM bulk_replays WHERE slot = 1 AND holder = $1", holder)
}

// Renew extends the lease; a lease of 0 lets any process acquire the bulk replay. It returns workflow.ErrStale if another process has it.
func (s *Store) Renew(ctx context.Context, r BulkReplay, lease time.Duration) error {
	return s.changeHeld(ctx, "UPDATE bulk_replays SET lease_until = $1 WHERE id = $2 AND holder = $3",
		s.writer.DB.Now().Add(lease).UnixMicro(), r.ID, r.holder)
}

// End records that the bulk replay has ended. It returns workflow.ErrStale if another process has it.
func (s *Store) End(ctx context.Context, r BulkReplay, failed bool) error {
	flag := 0
	if failed {
		flag = 1
	}
	return s.changeHeld(ctx, "UPDATE bulk_replays SET slot = NULL, finished_at = $1, failed = $2 WHERE id = $3 AND holder = $4 AND slot = 1",
		s.writer.DB.Now().UnixMicro(), flag, r.ID, r.holder)
}

// ReleaseLease ends the lease of an earlier process. In Postgres it does nothing, because another replica may hold it.
func (s *Store) ReleaseLease(ctx context.Context) error {
	if s.writer.DB.Kind == database.Postgres {
		return nil
	}
	_, err := s.change(ctx, "UPDATE bulk_replays SET lease_until = 0 WHERE slot = 1")
	return database.Wrap("replay: release lease", err)
}

// Latest returns the bulk replay that is in progress, else the one that ended last, else database.ErrNotFound.
func (s *Store) Latest(ctx context.Context) (BulkReplay, error) {
	return s.load(ctx, "FROM bulk_replays ORDER BY id DESC LIMIT 1")
}

// Lock returns workflow.ErrStale if another process has the bulk replay. No process can acquire it until the transaction ends.
func (r BulkReplay) Lock(ctx context.Context, tx *sql.Tx) error {
	if err := r.db.Lock(ctx, tx, "bulk_replays", r.ID); err != nil {
		return err
	}
	var rows int
	err := tx.QueryRowContext(ctx, "SELECT count(*) FROM bulk_replays WHERE id = $1 AND holder = $2 AND slot = 1", r.ID, r.holder).Scan(&rows)
	if err == nil && rows == 0 {
		return workflow.ErrStale
	}
	return err
}

// Advance records, in the transaction that replays an event, that the bulk replay has replayed so many steps of it.
func (r BulkReplay) Advance(ctx context.Context, tx *sql.Tx, id event.ID, steps int) error {
	_, err := tx.ExecContext(ctx, "UPDATE bulk_replays SET cursor = $1, events = events + 1, steps = steps + $2 WHERE id = $3", string(id), steps, r.ID)
	return err
}

// changeHeld returns workflow.ErrStale if the statement, which names the holder, changes nothing.
func (s *Store) changeHeld(ctx context.Context, statement string, arguments ...any) error {
	changed, err := s.change(ctx, statement, arguments...)
	if err == nil && !changed {
		return workflow.ErrStale
	}
	return database.Wrap("replay: change", err)
}

// change changes at most one row, in a transaction that holds no other lock: a replay locks this row after its event.
func (s *Store) change(ctx context.Context, statement string, arguments ...any) (changed bool, err error) {
	rows, err := s.writer.Exec(ctx, statement, arguments...)
	return rows > 0, err
}

func (s *Store) load(ctx context.Context, rest string, arguments ...any) (r BulkReplay, err error) {
	var filter string
	var begun int64
	var finished sql.NullInt64
	var failed int
	err = s.writer.DB.Reader.QueryRowContext(ctx, "SELECT "+columns+" "+rest, arguments...).
		Scan(&r.ID, &filter, &r.Cursor, &r.Events, &r.Steps, &begun, &finished, &failed, &r.holder)
	if err := database.NotFound(err); err != nil {
		return BulkReplay{}, database.Wrap("replay: load", err)
	}
	r.db = s.writer.DB
	r.Begun, r.Finished, r.Failed = database.FromMicros(begun), database.FromMicros(finished.Int64), failed != 0
	return r, database.Wrap("replay: load", json.Unmarshal([]byte(filter), &r.Filter))
}
