// Package jobs keeps tracked jobs: jobs of the vendor whose completion is expected, because they were registered or submitted. It
// also keeps the hashes of the tokens that callbacks of submitted jobs carry.
package jobs

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/google/uuid"
)

// Store reads and writes tracked jobs. It is safe for use by many goroutines.
type Store struct{ writer *database.Writer }

// New returns a Store that writes with writer.
func New(writer *database.Writer) *Store { return &Store{writer: writer} }

// State is the state of a tracked job.
type State string

// The states. A job is open while it is Submitting or Waiting.
const (
	Submitting State = "submitting" // the API has not answered the job's id yet
	Waiting    State = "waiting"    // for the callback
	Arrived    State = "arrived"    // by its callback
	Reconciled State = "reconciled" // without a callback; the result was found through the API
	Failed     State = "failed"     // at Deep Image
	Expired    State = "expired"    // its images were deleted at Deep Image
	Lost       State = "lost"       // neither callback nor result before the horizon
)

// How a job came to be tracked.
const (
	registered = "registered" // submitted elsewhere, and registered with the receiver
	submitted  = "submitted"  // submitted by the receiver
)

// Job is a tracked job.
type Job struct {
	ID  string `json:"id"`  // of the row, a UUID
	Job string `json:"job"` // id at Deep Image; "" while it is unknown
	event.Names
	Origin   string    `json:"origin"` // registered or submitted
	State    State     `json:"state"`
	Created  time.Time `json:"created_at"`
	NextAt   time.Time `json:"next_at,omitzero"` // of the next request to the API
	Horizon  time.Time `json:"horizon_at"`       // when the job is marked lost
	Polls    int       `json:"polls"`            // answers of the API that the job is not ready
	Event    event.ID  `json:"event,omitempty"`
	Detail   string    `json:"detail,omitempty"`     // a sentence for a person
	Resolved time.Time `json:"resolved_at,omitzero"` // zero while the job is open
}

// MaxTracked is the maximum number of jobs in one call of Track.
const MaxTracked = 1000

// maxJobsPerQuery bounds the parameters of one statement.
const maxJobsPerQuery = 500

const columns = "id, job, origin, state, created_at, next_at, horizon_at, polls, event_id, detail, resolved_at, input, reference"

// Track tracks 1 to MaxTracked jobs by their ids at Deep Image and returns them, in no particular order. The API is asked about them from
// first until horizon. A job that is tracked already is not changed; one whose event exists is Arrived.
func (s *Store) Track(ctx context.Context, ids []string, first, horizon time.Time) ([]Job, error) {
	if len(ids) == 0 || len(ids) > MaxTracked {
		return nil, fmt.Errorf("jobs: track: %d jobs, want 1 to %d", len(ids), MaxTracked)
	}
	var list []Job
	err := s.writer.Write(ctx, "jobs: track", func(ctx context.Context, tx *sql.Tx) error {
		if err := register(ctx, tx, ids, first, horizon); err != nil {
			return err
		}
		if err := resolveArrived(ctx, tx, ids, Arrived); err != nil {
			return err
		}
		var err error
		list, err = queryJobs(ctx, tx, "WHERE job IN "+database.Values(1, len(ids)), toAny(ids)...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// register adds the jobs that are not tracked yet.
func register(ctx context.Context, tx *sql.Tx, ids []string, first, horizon time.Time) error {
	list, err := queryJobs(ctx, tx, "WHERE job IN "+database.Values(1, len(ids)), toAny(ids)...)
	if err != nil {
		return err
	}
	known := make(map[string]bool, len(list))
	for _, j := range list {
		known[j.Job] = true
	}
	insert := database.Insert{
		Into: "tracked_jobs (id, job, origin, state, created_at, next_at, horizon_at)", Columns: 7, Suffix: " ON CONFLICT DO NOTHING",
	}
	for _, job := range ids {
		if known[job] {
			continue
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		insert.Add(id.String(), job, registered, string(Waiting), time.Now().UnixMicro(), first.UnixMicro(), horizon.UnixMicro())
	}
	return insert.Run(ctx, tx, nil)
}

// resolveArrived sets a state to the tracked jobs among ids of which there is an event, also to those that were lost, failed or expired.
func resolveArrived(ctx context.Context, tx *sql.Tx, ids []string, state State) error {
	for some := range slices.Chunk(ids, maxJobsPerQuery) {
		//nolint:gosec // nothing but numbered parameters is added
		text := fmt.Sprintf(`UPDATE tracked_jobs SET state = $%d, resolved_at = $%d, next_at = NULL, lease_until = NULL, detail = '',
				event_id = (SELECT min(id) FROM events WHERE events.job = tracked_jobs.job)
			WHERE job IN %s AND state NOT IN ('arrived', 'reconciled') AND EXISTS (SELECT 1 FROM events WHERE events.job = tracked_jobs.job)`,
			len(some)+1, len(some)+2, database.Values(1, len(some)))
		if _, err := tx.ExecContext(ctx, text, append(toAny(some), string(state), time.Now().UnixMicro())...); err != nil {
			return err
		}
	}
	return nil
}

// OnAdd records, in the transaction that adds events, which tokens they used and which tracked jobs they complete.
func (s *Store) OnAdd(ctx context.Context, tx *sql.Tx, entries []event.Entry) error {
	if err := useTokens(ctx, tx, entries, s.Now()); err != nil {
		return err
	}
	return resolveArrivals(ctx, tx, entries)
}

// resolveArrivals resolves the tracked jobs of events that are added.
func resolveArrivals(ctx context.Context, tx *sql.Tx, entries []event.Entry) error {
	byState := map[State][]string{}
	for _, entry := range entries {
		state := Arrived
		if entry.Origin == event.OriginReconciled {
			state = Reconciled
		}
		byState[state] = append(byState[state], entry.Job)
	}
	for _, state := range []State{Arrived, Reconciled} {
		if err := resolveArrived(ctx, tx, byState[state], state); err != nil {
			return err
		}
	}
	return nil
}

func toAny(texts []string) []any {
	list := make([]any, len(texts))
	for n, text := range texts {
		list[n] = text
	}
	return list
}

// Now returns the time of the clock of the database, by which all replicas decide what is due.
func (s *Store) Now() time.Time { return s.writer.DB.Now() }

// AcquireDue leases at most limit jobs about which the API is to be asked now. No other replica acquires them until the lease is over;
// Reschedule and Resolve end it earlier.
func (s *Store) AcquireDue(ctx context.Context, lease time.Duration, limit int) ([]Job, error) {
	now := s.Now()
	var some int // usually 0, and then nothing is written
	err := s.writer.DB.Reader.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM tracked_jobs
		WHERE next_at <= $1 AND (lease_until IS NULL OR lease_until <= $1) LIMIT 1) AS due`, now.UnixMicro()).Scan(&some)
	if err != nil || some == 0 {
		return nil, database.Wrap("jobs: acquire due", err)
	}
	lock := ""
	if s.writer.DB.Kind == database.Postgres {
		lock = "FOR UPDATE SKIP LOCKED" // another replica acquires those
	}
	var due []Job
	err = s.writer.Write(ctx, "jobs: acquire due", func(ctx context.Context, tx *sql.Tx) error {
		rows, err := database.Query(ctx, tx, `UPDATE tracked_jobs SET lease_until = $1 WHERE id IN (
				SELECT id FROM tracked_jobs WHERE next_at <= $2 AND (lease_until IS NULL OR lease_until <= $2)
				ORDER BY next_at LIMIT $3 `+lock+`) RETURNING `+columns,
			now.Add(lease).UnixMicro(), now.UnixMicro(), limit)
		if err != nil {
			return err
		}
		due, err = scanJobs(rows)
		return err
	})
	if err != nil {
		return nil, err
	}
	return due, nil
}

// Reschedule sets the time of the next request to the API and ends the lease. answered counts the poll, because the API has answered. A
// job that was resolved meanwhile is not changed.
func (s *Store) Reschedule(ctx context.Context, id string, next time.Time, answered bool, detail string) error {
	polls := 0
	if answered {
		polls = 1
	}
	return s.change(ctx, "reschedule", `UPDATE tracked_jobs SET next_at = $2, lease_until = NULL, polls = polls + $3, detail = $4
		WHERE id = $1 AND state IN ('submitting', 'waiting')`, id, next.UnixMicro(), polls, database.SanitizeText(detail))
}

// Resolve sets the last state of an open job and reports whether it was open. e is the event of the job, or "".
func (s *Store) Resolve(ctx context.Context, id string, state State, e event.ID, detail string) (resolved bool, err error) {
	var found any
	if e != "" {
		found = string(e)
	}
	var rows int64
	err = s.writer.Write(ctx, "jobs: resolve", func(ctx context.Context, tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `UPDATE tracked_jobs
			SET state = $2, event_id = $3, detail = $4, resolved_at = $5, next_at = NULL, lease_until = NULL
			WHERE id = $1 AND state IN ('submitting', 'waiting')`, id, string(state), found, database.SanitizeText(detail), time.Now().UnixMicro())
		if err != nil {
			return err
		}
		rows, err = done.RowsAffected()
		return err
	})
	if err != nil {
		return false, err
	}
	return rows == 1, nil
}

func (s *Store) change(ctx context.Context, name, statement string, arguments ...any) error {
	return s.writer.Write(ctx, "jobs: "+name, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, statement, arguments...)
		return err
	})
}

// ReleaseLeases ends the leases of an earlier process. In Postgres it does nothing, because other replicas may hold them.
func (s *Store) ReleaseLeases(ctx context.Context) error {
	if s.writer.DB.Kind == database.Postgres {
		return nil
	}
	return s.change(ctx, "release leases", "UPDATE tracked_jobs SET lease_until = NULL WHERE lease_until IS NOT NULL")
}

// List returns at most limit jobs in a state ("" for all), the newest first, that were created before the one with the id before ("" for all).
func (s *Store) List(ctx context.Context, state State, before string, limit int) ([]Job, error) {
	condition := "WHERE id < $1 AND state = $2 ORDER BY id DESC LIMIT $3"
	if state == "" {
		condition = "WHERE id < $1 AND $2 = '' ORDER BY id DESC LIMIT $3"
	}
	list, err := queryJobs(ctx, s.writer.DB.Reader, condition, cmp.Or(before, afterAll), string(state), limit)
	return list, database.Wrap("jobs: list", err)
}

// afterAll sorts after every id.
const afterAll = "g"

// Counts returns the number of jobs in each state.
func (s *Store) Counts(ctx context.Context) (map[State]int64, error) {
	rows, err := database.Query(ctx, s.writer.DB.Reader, "SELECT state, count(*) FROM tracked_jobs GROUP BY state")
	if err != nil {
		return nil, database.Wrap("jobs: counts", err)
	}
	counts := map[State]int64{}
	err = rows.ForEach(func() error {
		var state State
		var n int64
		err := rows.Scan(&state, &n)
		counts[state] = n
		return err
	})
	return counts, database.Wrap("jobs: counts", err)
}

func queryJobs(ctx context.Context, from database.Querier, rest string, arguments ...any) ([]Job, error) {
	rows, err := database.Query(ctx, from, "SELECT "+columns+" FROM tracked_jobs "+rest, arguments...)
	if err != nil {
		return nil, err
	}
	return scanJobs(rows)
}

func scanJobs(rows *database.Rows) (list []Job, err error) {
	err = rows.ForEach(func() error {
		var j Job
		var job, id sql.NullString
		var created, horizon int64
		var next, resolved sql.NullInt64
		err := rows.Scan(&j.ID, &job, &j.Origin, &j.State, &created, &next, &horizon, &j.Polls, &id, &j.Detail, &resolved, &j.Input, &j.Reference)
		j.Job, j.Event = job.String, event.ID(id.String)
		j.Created, j.Horizon = database.FromMicros(created), database.FromMicros(horizon)
		j.NextAt, j.Resolved = database.FromMicros(next.Int64), database.FromMicros(resolved.Int64)
		list = append(list, j)
		return err
	})
	return list, err
}
