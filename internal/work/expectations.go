package work

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/google/uuid"
)

// ExpectationState is where the wait for a callback stands.
type ExpectationState string

// Every state of an expectation. The first two are open.
const (
	Submitting ExpectationState = "submitting" // the vendor has not told the job yet
	Expected   ExpectationState = "waiting"    // for the callback
	Arrived    ExpectationState = "arrived"    // the callback came
	Reconciled ExpectationState = "reconciled" // it did not, and the result was found by asking
	Failed     ExpectationState = "failed"     // the vendor could not make the image
	Expired    ExpectationState = "expired"    // the vendor has deleted the images
	Lost       ExpectationState = "lost"       // neither callback nor result until the horizon
)

// ExpectationOrigin says who made an expectation.
type ExpectationOrigin string

// Every origin.
const (
	Registered ExpectationOrigin = "registered" // somebody submitted the job and told us
	Submitted  ExpectationOrigin = "submitted"  // we submitted it
)

// Expectation is a job whose callback is waited for.
type Expectation struct {
	ID      string
	Job     string // "" while it is not known
	Origin  ExpectationOrigin
	State   ExpectationState
	Created time.Time
	NextAt  time.Time // when the vendor is asked; zero when it is not
	Horizon time.Time // when it is asked no more
	Polls   int       // how often it was asked and said that the job is not ready
	Event   event.ID  // that came of it
	Detail  string    // a sentence for a person
	Settled time.Time
}

// MaxExpected is how many jobs Expect takes at once.
const MaxExpected = 1000

const expectationColumns = "id, job, origin, state, created_at, next_at, horizon_at, polls, event_id, detail, settled_at"

// Expect waits for the callbacks of jobs: from first on the vendor is asked, until horizon. A job that is expected already
// stays as it is, one whose callback has come has arrived. It gives all of them as they are now, in no order.
func (s *Store) Expect(ctx context.Context, jobs []string, first, horizon time.Time) ([]Expectation, error) {
	if len(jobs) == 0 || len(jobs) > MaxExpected {
		return nil, fmt.Errorf("work: expect: %d jobs are not 1 to %d", len(jobs), MaxExpected)
	}
	var list []Expectation
	err := s.write(ctx, "expect", "", func(ctx context.Context, tx *sql.Tx) error {
		if err := register(ctx, tx, jobs, first, horizon); err != nil {
			return err
		}
		if err := settleArrived(ctx, tx, jobs, Arrived); err != nil {
			return err
		}
		var err error
		list, err = expectations(ctx, tx, "WHERE job IN "+database.Values(1, len(jobs)), anys(jobs)...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// register adds those of the jobs that nobody waits for.
func register(ctx context.Context, tx *sql.Tx, jobs []string, first, horizon time.Time) error {
	list, err := expectations(ctx, tx, "WHERE job IN "+database.Values(1, len(jobs)), anys(jobs)...)
	if err != nil {
		return err
	}
	known := make(map[string]bool, len(list))
	for _, e := range list {
		known[e.Job] = true
	}
	insert := insertion{
		into: "expectations (id, job, origin, state, created_at, next_at, horizon_at)", columns: 7, rest: " ON CONFLICT DO NOTHING",
	}
	for _, job := range jobs {
		if known[job] {
			continue
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		insert.add(id.String(), job, string(Registered), string(Expected), time.Now().UnixMicro(), first.UnixMicro(), horizon.UnixMicro())
	}
	return insert.run(ctx, tx, nil)
}

// settleArrived ends the wait for those of the jobs of which there is an event, also of those that were given up.
func settleArrived(ctx context.Context, tx *sql.Tx, jobs []string, state ExpectationState) error {
	for len(jobs) > 0 {
		some := jobs[:min(len(jobs), maxRows)]
		jobs = jobs[len(some):]
		//nolint:gosec // nothing but numbered parameters is added
		text := fmt.Sprintf(`UPDATE expectations SET state = $%d, settled_at = $%d, next_at = NULL, lease_until = NULL, detail = '',
				event_id = (SELECT min(id) FROM events WHERE events.job = expectations.job)
			WHERE job IN %s AND state NOT IN ('arrived', 'reconciled') AND EXISTS (SELECT 1 FROM events WHERE events.job = expectations.job)`,
			len(some)+1, len(some)+2, database.Values(1, len(some)))
		if _, err := tx.ExecContext(ctx, text, append(anys(some), string(state), time.Now().UnixMicro())...); err != nil {
			return err
		}
	}
	return nil
}

// settleArrivals ends the wait for what the relay brings.
func settleArrivals(ctx context.Context, tx *sql.Tx, arrivals []Arrival) error {
	byState := map[ExpectationState][]string{}
	for _, a := range arrivals {
		state := Arrived
		if a.Origin == event.OriginReconciled {
			state = Reconciled
		}
		byState[state] = append(byState[state], a.Job)
	}
	for _, state := range []ExpectationState{Arrived, Reconciled} {
		if err := settleArrived(ctx, tx, byState[state], state); err != nil {
			return err
		}
	}
	return nil
}

func anys(texts []string) []any {
	list := make([]any, len(texts))
	for n, text := range texts {
		list[n] = text
	}
	return list
}

// Due takes expectations about which the vendor is to be asked now, at most limit of them. Nobody else
// gets them until the lease is over, unless PutOff or Settle ends it.
func (s *Store) Due(ctx context.Context, lease time.Duration, limit int) ([]Expectation, error) {
	now := time.Now()
	var some int // most often there is nothing, and then nothing is written
	err := s.database.Reader.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM expectations
		WHERE next_at <= $1 AND (lease_until IS NULL OR lease_until <= $1) LIMIT 1) AS due`, now.UnixMicro()).Scan(&some)
	if err != nil || some == 0 {
		return nil, wrap("due", err)
	}
	lock := ""
	if s.database.Kind == database.Postgres {
		lock = "FOR UPDATE SKIP LOCKED" // another replica asks about those
	}
	var due []Expectation
	err = s.write(ctx, "due", "", func(ctx context.Context, tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `UPDATE expectations SET lease_until = $1 WHERE id IN (
				SELECT id FROM expectations WHERE next_at <= $2 AND (lease_until IS NULL OR lease_until <= $2)
				ORDER BY next_at LIMIT $3 `+lock+`) RETURNING `+expectationColumns,
			now.Add(lease).UnixMicro(), now.UnixMicro(), limit)
		if err != nil {
			return err
		}
		due, err = scanExpectations(rows)
		return err
	})
	if err != nil {
		return nil, err
	}
	return due, nil
}

// PutOff has the vendor asked again at next; asked says whether it has answered now. One that was settled meanwhile stays so.
func (s *Store) PutOff(ctx context.Context, id string, next time.Time, asked bool, detail string) error {
	polls := 0
	if asked {
		polls = 1
	}
	return s.changeExpectation(ctx, "put off", `UPDATE expectations SET next_at = $2, lease_until = NULL, polls = polls + $3, detail = $4
		WHERE id = $1 AND state IN ('submitting', 'waiting')`, id, next.UnixMicro(), polls, text(detail))
}

// Settle ends an expectation that is open, and says whether it was; e is the event that came of it, or "".
func (s *Store) Settle(ctx context.Context, id string, state ExpectationState, e event.ID, detail string) (settled bool, err error) {
	var found any
	if e != "" {
		found = string(e)
	}
	var rows int64
	err = s.write(ctx, "settle", "", func(ctx context.Context, tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `UPDATE expectations
			SET state = $2, event_id = $3, detail = $4, settled_at = $5, next_at = NULL, lease_until = NULL
			WHERE id = $1 AND state IN ('submitting', 'waiting')`, id, string(state), found, text(detail), time.Now().UnixMicro())
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

func (s *Store) changeExpectation(ctx context.Context, name, statement string, arguments ...any) error {
	return s.write(ctx, name, "", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, statement, arguments...)
		return err
	})
}

// FreeDue ends all leases that a process left that died. It is right only where this process is the only one.
func (s *Store) FreeDue(ctx context.Context) error {
	if s.database.Kind == database.Postgres {
		return nil
	}
	return s.changeExpectation(ctx, "free", "UPDATE expectations SET lease_until = NULL WHERE lease_until IS NOT NULL")
}

// Expectations lists those in a state (all if ""), the newest first, made before the one named (all if ""), at most limit of them.
func (s *Store) Expectations(ctx context.Context, state ExpectationState, before string, limit int) ([]Expectation, error) {
	asked := "WHERE id < $1 AND state = $2 ORDER BY id DESC LIMIT $3"
	if state == "" {
		asked = "WHERE id < $1 AND $2 = '' ORDER BY id DESC LIMIT $3"
	}
	list, err := expectations(ctx, s.database.Reader, asked, cmp.Or(before, afterAll), string(state), limit)
	return list, wrap("expectations", err)
}

// afterAll comes after every id.
const afterAll = "g"

// ExpectationCounts says how many there are in each state.
func (s *Store) ExpectationCounts(ctx context.Context) (map[ExpectationState]int64, error) {
	rows, err := s.database.Reader.QueryContext(ctx, "SELECT state, count(*) FROM expectations GROUP BY state")
	if err != nil {
		return nil, wrap("expectations", err)
	}
	counts := map[ExpectationState]int64{}
	err = each(rows, func() error {
		var state ExpectationState
		var n int64
		err := rows.Scan(&state, &n)
		counts[state] = n
		return err
	})
	return counts, wrap("expectations", err)
}

func expectations(ctx context.Context, from querier, rest string, arguments ...any) ([]Expectation, error) {
	rows, err := from.QueryContext(ctx, "SELECT "+expectationColumns+" FROM expectations "+rest, arguments...)
	if err != nil {
		return nil, err
	}
	return scanExpectations(rows)
}

func scanExpectations(rows *sql.Rows) (list []Expectation, err error) {
	err = each(rows, func() error {
		var e Expectation
		var job, found sql.NullString
		var created, horizon int64
		var next, settled sql.NullInt64
		err := rows.Scan(&e.ID, &job, &e.Origin, &e.State, &created, &next, &horizon, &e.Polls, &found, &e.Detail, &settled)
		e.Job, e.Event = job.String, event.ID(found.String)
		e.Created, e.Horizon, e.NextAt, e.Settled = moment(created), moment(horizon), moment(next.Int64), moment(settled.Int64)
		list = append(list, e)
		return err
	})
	return list, err
}
