package history

import (
	"context"
	"database/sql"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// ListItem is an event as a list shows it.
type ListItem struct {
	Event
	Failure      // of the filtered handler, else of a dead step, else of another; its Handler is "" if no step failed
	Images  int  `json:"images"`          // stored
	First   *int `json:"first,omitempty"` // number of the first image among the artifacts
}

// Failure says which step failed, and why.
type Failure struct {
	Handler   string       `json:"handler,omitempty"`
	StepState event.Status `json:"-"`
	Reason    event.Reason `json:"reason,omitempty"`
	Detail    string       `json:"detail,omitempty"`
}

// addFailures says of each event which step failed: that of the handler that was asked for, then a dead one, before others.
func (s *Store) addFailures(ctx context.Context, at map[event.ID]*ListItem, ids []any, handler string) error {
	//nolint:gosec // numbered parameters only
	rows, err := s.writer.DB.Reader.QueryContext(ctx, `SELECT event_id, handler, state, reason, detail FROM steps
		WHERE reason <> '' AND event_id IN `+database.Values(1, len(ids))+` ORDER BY event_id, position`, ids...)
	if err != nil {
		return database.Wrap("history: troubles", err)
	}
	return database.Wrap("history: troubles", database.ForEachRow(rows, func() error {
		var id event.ID
		var t Failure
		err := rows.Scan(&id, &t.Handler, &t.StepState, &t.Reason, &t.Detail)
		if line := at[id]; line != nil && t.precedes(line.Failure, handler) {
			line.Failure = t
		}
		return err
	}))
}

// precedes says that it is to be told of instead of another that was found before.
func (t Failure) precedes(found Failure, handler string) bool {
	switch handler {
	case found.Handler: // also when nothing was asked for and nothing found
		return handler == ""
	case t.Handler:
		return true
	default:
		return found.Handler == "" || t.StepState == event.Dead && found.StepState != event.Dead
	}
}

// addImages counts the images of each event. They are in the order of artifacts, so that a number names the same one.
func (s *Store) addImages(ctx context.Context, at map[event.ID]*ListItem, ids []any) error {
	//nolint:gosec // numbered parameters only
	rows, err := s.writer.DB.Reader.QueryContext(ctx, `SELECT event_id, width FROM artifacts
		WHERE event_id IN `+database.Values(1, len(ids))+` ORDER BY event_id, handler, position`, ids...)
	if err != nil {
		return database.Wrap("history: images", err)
	}
	numbers := make(map[event.ID]int, len(ids))
	return database.Wrap("history: images", database.ForEachRow(rows, func() error {
		var id event.ID
		var width int
		err := rows.Scan(&id, &width)
		if line := at[id]; line != nil && width > 0 {
			if line.Images++; line.First == nil {
				line.First = new(numbers[id])
			}
		}
		numbers[id]++
		return err
	}))
}

// StepCounts counts the steps of one name that are not done.
type StepCounts struct {
	Handler  string               `json:"-"`
	Pending  int                  `json:"pending"`
	Running  int                  `json:"running"`
	Retrying int                  `json:"retrying"`
	Dead     int                  `json:"dead"`
	Deferred int                  `json:"deferred"` // included in Retrying
	Reasons  map[event.Reason]int `json:"reasons"`  // why steps are dead or retrying
}

// StepCounts counts the steps that are pending, running, retrying or dead.
func (s *Store) StepCounts(ctx context.Context) (map[string]*StepCounts, error) {
	rows, err := s.writer.DB.Reader.QueryContext(ctx, `
		SELECT handler, state, reason, count(*) FROM steps WHERE reason <> '' AND state IN ('dead', 'retrying') GROUP BY handler, state, reason
		UNION ALL SELECT handler, 'pending', '', count(*) FROM steps WHERE state = 'pending' GROUP BY handler
		UNION ALL SELECT handler, 'parked', '', count(*) FROM steps WHERE deferred_at IS NOT NULL GROUP BY handler
		UNION ALL SELECT handler, 'running', '', count(*) FROM steps WHERE state = 'running' GROUP BY handler`)
	if err != nil {
		return nil, database.Wrap("history: counts", err)
	}
	counts := map[string]*StepCounts{}
	err = database.ForEachRow(rows, func() error { return addStepCount(rows, counts) })
	return counts, database.Wrap("history: counts", err)
}

func addStepCount(rows *sql.Rows, counts map[string]*StepCounts) error {
	var name, state string
	var reason event.Reason
	var n int
	if err := rows.Scan(&name, &state, &reason, &n); err != nil {
		return err
	}
	t := counts[name]
	if t == nil {
		t = &StepCounts{Handler: name, Reasons: map[event.Reason]int{}}
		counts[name] = t
	}
	switch state {
	case string(event.Pending):
		t.Pending = n
	case string(event.Running):
		t.Running = n
	case "parked":
		t.Deferred = n
	case string(event.Retrying):
		t.Retrying += n
	default:
		t.Dead += n
	}
	if reason != "" {
		t.Reasons[reason] += n
	}
	return nil
}

// Oldest is when the oldest event was received of which a step is pending, running or retrying; zero if there is none.
func (s *Store) Oldest(ctx context.Context) (time.Time, error) {
	var received sql.NullInt64
	// By handler, as their indexes are: Postgres would else go through all steps from the oldest on until one is so.
	err := s.writer.DB.Reader.QueryRowContext(ctx, `SELECT min(received_at) FROM events WHERE id IN (
		SELECT min(event_id) FROM steps WHERE state = 'pending' GROUP BY handler
		UNION SELECT min(event_id) FROM steps WHERE state = 'running' GROUP BY handler
		UNION SELECT min(event_id) FROM steps WHERE state = 'retrying' AND reason <> '' GROUP BY handler)`).Scan(&received)
	return database.FromMicros(received.Int64), database.Wrap("history: oldest", err)
}

// Rates counts the events received since a time by the bucket in which they were received, and
// by their state. Buckets are whole multiples of their length since 1970.
func (s *Store) Rates(ctx context.Context, since time.Time, bucket time.Duration) (map[time.Time]map[event.Status]int64, error) {
	rows, err := s.writer.DB.Reader.QueryContext(ctx, `SELECT received_at / $1 AS bucket, state, count(*) FROM events
		WHERE id >= $2 AND received_at >= $3 GROUP BY received_at / $1, state`,
		bucket.Microseconds(), firstID(since.Add(-clockSlack)), since.UnixMicro())
	if err != nil {
		return nil, database.Wrap("history: rates", err)
	}
	rates := map[time.Time]map[event.Status]int64{}
	err = database.ForEachRow(rows, func() error {
		var number, n int64
		var state event.Status
		if err := rows.Scan(&number, &state, &n); err != nil {
			return err
		}
		start := time.UnixMicro(number * bucket.Microseconds()).UTC()
		if rates[start] == nil {
			rates[start] = map[event.Status]int64{}
		}
		rates[start][state] += n
		return nil
	})
	return rates, database.Wrap("history: rates", err)
}

// maxTokenCount bounds what ChangeToken counts of each state.
const maxTokenCount = 10_000

// ChangeToken changes with everything that becomes of steps through this store, and with nearly everything through others that have the
// same database. It is quick: counts go up to a bound.
type ChangeToken struct {
	Writes   int64                  `json:"writes"`              // of this store, since it was opened
	Changed  time.Time              `json:"changed_at,omitzero"` // when a step that failed or is retried last changed
	Newest   event.ID               `json:"newest"`
	Counts   map[event.Status]int64 `json:"counts"`   // events in each state but done
	Deferred int64                  `json:"deferred"` // steps
	Disabled int64                  `json:"disabled"` // targets
}

// ChangeToken looks whether anything has happened.
func (s *Store) ChangeToken(ctx context.Context) (m ChangeToken, err error) {
	m.Writes, m.Counts = s.writer.Commits(), map[event.Status]int64{} // what is written while it is counted, changes the next one
	count := func(rest string, values ...any) (n int64) {
		if err == nil {
			rest = "SELECT count(*) FROM (SELECT 1 FROM " + rest + " LIMIT $1) AS counted"
			err = database.Wrap("history: mark", s.writer.DB.Reader.QueryRowContext(ctx, rest, append([]any{maxTokenCount}, values...)...).Scan(&n))
		}
		return n
	}
	for _, state := range []event.Status{event.Pending, event.Running, event.Retrying, event.Dead, event.Quarantined} {
		m.Counts[state] = count("events WHERE state = $2", string(state))
	}
	m.Deferred, m.Disabled = count("steps WHERE deferred_at IS NOT NULL"), count("targets")
	if err != nil {
		return ChangeToken{}, err
	}
	found, err := s.List(ctx, "", 1)
	if err == nil && len(found) > 0 {
		m.Newest = found[0].ID
	}
	if err == nil {
		m.Changed, err = s.changed(ctx)
	}
	return m, err
}

// changed is when, of the steps that failed or fail, one changed last. All others change the counts, most often.
func (s *Store) changed(ctx context.Context) (time.Time, error) {
	var at sql.NullInt64
	err := s.writer.DB.Reader.QueryRowContext(ctx, "SELECT max(changed_at) FROM steps WHERE reason <> ''").Scan(&at)
	return database.FromMicros(at.Int64), database.Wrap("history: mark", err)
}
