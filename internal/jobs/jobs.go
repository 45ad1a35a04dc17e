// Package jobs keeps tracked jobs: jobs of the vendor whose completion is expected, because they were registered or submitted. It
// also keeps the hashes of the tokens that callbacks of submitted jobs carry.
package jobs

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/google/uuid"
)

// ErrNotFound means that there is no such tracked job.
var ErrNotFound = database.ErrNotFound

// Store reads and writes tracked jobs. It is safe for use by many goroutines.
type Store struct{ writer *database.Writer }

// New returns a Store that writes with writer.
func New(writer *database.Writer) *Store { return &Store{writer: writer} }

// State is where the wait for a callback stands.
type State string

// Every state of an expectation. The first two are open.
const (
	Submitting State = "submitting" // the vendor has not told the job yet
	Waiting    State = "waiting"    // for the callback
	Arrived    State = "arrived"    // the callback came
	Reconciled State = "reconciled" // it did not, and the result was found by asking
	Failed     State = "failed"     // the vendor could not make the image
	Expired    State = "expired"    // the vendor has deleted the images
	Lost       State = "lost"       // neither callback nor result until the horizon
)

// Origin says who made an expectation.
type Origin string

// Every origin.
const (
	Registered Origin = "registered" // somebody submitted the job and told us
	Submitted  Origin = "submitted"  // we submitted it
)

// Job is a job whose callback is waited for.
type Job struct {
	ID       string    `json:"id"`
	Job      string    `json:"job"` // the vendor's id; "" while it is not known
	Origin   Origin    `json:"origin"`
	State    State     `json:"state"`
	Created  time.Time `json:"created_at"`
	NextAt   time.Time `json:"next_at,omitzero"` // of the next question to the vendor
	Horizon  time.Time `json:"horizon_at"`       // when the job is marked lost
	Polls    int       `json:"polls"`            // how often the vendor answered that the job is not ready
	Event    event.ID  `json:"event,omitempty"`  // that completed the job
	Detail   string    `json:"detail,omitempty"` // a sentence for a person
	Resolved time.Time `json:"settled_at,omitzero"`
}

// MaxTracked is how many jobs Expect takes at once.
const MaxTracked = 1000

// maxJobsPerQuery bounds the parameters of one statement.
const maxJobsPerQuery = 500

const columns = "id, job, origin, state, created_at, next_at, horizon_at, polls, event_id, detail, resolved_at"

// Track waits for the callbacks of jobs: from first on the vendor is asked, until horizon. A job that is expected already
// stays as it is, one whose callback has come has arrived. It gives all of them as they are now, in no order.
func (s *Store) Track(ctx context.Context, jobs []string, first, horizon time.Time) ([]Job, error) {
	if len(jobs) == 0 || len(jobs) > MaxTracked {
		return nil, fmt.Errorf("jobs: expect: %d jobs are not 1 to %d", len(jobs), MaxTracked)
	}
	var list []Job
	err := s.writer.Write(ctx, "jobs: expect", func(ctx context.Context, tx *sql.Tx) error {
		if err := register(ctx, tx, jobs, first, horizon); err != nil {
			return err
		}
		if err := resolveArrived(ctx, tx, jobs, Arrived); err != nil {
			return err
		}
		var err error
		list, err = queryJobs(ctx, tx, "WHERE job IN "+database.Values(1, len(jobs)), toAny(jobs)...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// register adds those of the jobs that nobody waits for.
func register(ctx context.Context, tx *sql.Tx, jobs []string, first, horizon time.Time) error {
	list, err := queryJobs(ctx, tx, "WHERE job IN "+database.Values(1, len(jobs)), toAny(jobs)...)
	if err != nil {
		return err
	}
	known := make(map[string]bool, len(list))
	for _, e := range list {
		known[e.Job] = true
	}
	insert := database.Insert{
		Into: "tracked_jobs (id, job, origin, state, created_at, next_at, horizon_at)", Columns: 7, Suffix: " ON CONFLICT DO NOTHING",
	}
	for _, job := range jobs {
		if known[job] {
			continue
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		insert.Add(id.String(), job, string(Registered), string(Waiting), time.Now().UnixMicro(), first.UnixMicro(), horizon.UnixMicro())
	}
	return insert.Run(ctx, tx, nil)
}

// resolveArrived ends the wait for those of the jobs of which there is an event, also of those that were given up.
func resolveArrived(ctx context.Context, tx *sql.Tx, jobs []string, state State) error {
	for len(jobs) > 0 {
		some := jobs[:min(len(jobs), maxJobsPerQuery)]
		jobs = jobs[len(some):]
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
func (s *Store) OnAdd(ctx context.Context, tx *sql.Tx, entries []workflow.InboxEntry) error {
	if err := useTokens(ctx, tx, entries); err != nil {
		return err
	}
	return resolveArrivals(ctx, tx, entries)
}

// resolveArrivals ends the wait for what the relay brings.
func resolveArrivals(ctx context.Context, tx *sql.Tx, entries []workflow.InboxEntry) error {
	byState := map[State][]string{}
	for _, a := range entries {
		state := Arrived
		if a.Origin == event.OriginReconciled {
			state = Reconciled
		}
		byState[state] = append(byState[state], a.Job)
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

// AcquireDue takes expectations about which the vendor is to be asked now, at most limit of them. Nobody else
// gets them until the lease is over, unless Reschedule or Resolve ends it.
func (s *Store) AcquireDue(ctx context.Context, lease time.Duration, limit int) ([]Job, error) {
	now := time.Now()
	var some int // most often there is nothing, and then nothing is written
	err := s.writer.DB.Reader.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM tracked_jobs
		WHERE next_at <= $1 AND (lease_until IS NULL OR lease_until <= $1) LIMIT 1) AS due`, now.UnixMicro()).Scan(&some)
	if err != nil || some == 0 {
		return nil, database.Wrap("jobs: due", err)
	}
	lock := ""
	if s.writer.DB.Kind == database.Postgres {
		lock = "FOR UPDATE SKIP LOCKED" // another replica asks about those
	}
	var due []Job
	err = s.writer.Write(ctx, "jobs: due", func(ctx context.Context, tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `UPDATE tracked_jobs SET lease_until = $1 WHERE id IN (
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

// Reschedule has the vendor asked again at next; asked says whether it has answered now. One that was resolved meanwhile stays so.
func (s *Store) Reschedule(ctx context.Context, id string, next time.Time, asked bool, detail string) error {
	polls := 0
	if asked {
		polls = 1
	}
	return s.change(ctx, "put off", `UPDATE tracked_jobs SET next_at = $2, lease_until = NULL, polls = polls + $3, detail = $4
		WHERE id = $1 AND state IN ('submitting', 'waiting')`, id, next.UnixMicro(), polls, database.SanitizeText(detail))
}

// Resolve ends an expectation that is open, and says whether it was; e is the event that came of it, or "".
func (s *Store) Resolve(ctx context.Context, id string, state State, e event.ID, detail string) (resolved bool, err error) {
	var found any
	if e != "" {
		found = string(e)
	}
	var rows int64
	err = s.writer.Write(ctx, "jobs: settle", func(ctx context.Context, tx *sql.Tx) error {
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

// ReleaseLeases ends all leases that a process left that died. It is right only where this process is the only one.
func (s *Store) ReleaseLeases(ctx context.Context) error {
	if s.writer.DB.Kind == database.Postgres {
		return nil
	}
	return s.change(ctx, "free", "UPDATE tracked_jobs SET lease_until = NULL WHERE lease_until IS NOT NULL")
}

// Expectations lists those in a state (all if ""), the newest first, made before the one named (all if ""), at most limit of them.
func (s *Store) List(ctx context.Context, state State, before string, limit int) ([]Job, error) {
	asked := "WHERE id < $1 AND state = $2 ORDER BY id DESC LIMIT $3"
	if state == "" {
		asked = "WHERE id < $1 AND $2 = '' ORDER BY id DESC LIMIT $3"
	}
	list, err := queryJobs(ctx, s.writer.DB.Reader, asked, cmp.Or(before, afterAll), string(state), limit)
	return list, database.Wrap("jobs: expectations", err)
}

// afterAll comes after every id.
const afterAll = "g"

// Counts says how many there are in each state.
func (s *Store) Counts(ctx context.Context) (map[State]int64, error) {
	rows, err := s.writer.DB.Reader.QueryContext(ctx, "SELECT state, count(*) FROM tracked_jobs GROUP BY state")
	if err != nil {
		return nil, database.Wrap("jobs: expectations", err)
	}
	counts := map[State]int64{}
	err = database.ForEachRow(rows, func() error {
		var state State
		var n int64
		err := rows.Scan(&state, &n)
		counts[state] = n
		return err
	})
	return counts, database.Wrap("jobs: expectations", err)
}

func queryJobs(ctx context.Context, from database.Querier, rest string, arguments ...any) ([]Job, error) {
	rows, err := from.QueryContext(ctx, "SELECT "+columns+" FROM tracked_jobs "+rest, arguments...)
	if err != nil {
		return nil, err
	}
	return scanJobs(rows)
}

func scanJobs(rows *sql.Rows) (list []Job, err error) {
	err = database.ForEachRow(rows, func() error {
		var e Job
		var job, found sql.NullString
		var created, horizon int64
		var next, resolved sql.NullInt64
		err := rows.Scan(&e.ID, &job, &e.Origin, &e.State, &created, &next, &horizon, &e.Polls, &found, &e.Detail, &resolved)
		e.Job, e.Event = job.String, event.ID(found.String)
		e.Created, e.Horizon, e.NextAt, e.Resolved = database.FromMicros(created), database.FromMicros(horizon), database.FromMicros(next.Int64), database.FromMicros(resolved.Int64)
		list = append(list, e)
		return err
	})
	return list, err
}
