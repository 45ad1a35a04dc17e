package history

import (
	"context"
	"database/sql"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// ListItem is an event in a list.
type ListItem struct {
	Event
	Failure      // of the filtered handler, else of a dead step, else of another; its Handler is "" if no step failed
	Images  int  `json:"images"`          // stored
	First   *int `json:"first,omitempty"` // number of the first image among the artifacts
}

// Failure is the step that failed, and why.
type Failure struct {
	Handler   string       `json:"handler,omitempty"`
	StepState event.Status `json:"-"`
	Reason    event.Reason `json:"reason,omitempty"`
	Detail    string       `json:"detail,omitempty"`
}

// addFailures sets the failure of each event: of the step of handler, else of a dead step, else of another.
func (s *Store) addFailures(ctx context.Context, items map[event.ID]*ListItem, ids []any, handler string) error {
	rows, err := database.Query(ctx, s.writer.DB.Reader, `SELECT event_id, handler, state, reason, detail FROM steps
		WHERE reason <> '' AND event_id IN `+database.Values(1, len(ids))+` ORDER BY event_id, position`, ids...)
	if err != nil {
		return database.Wrap("history: failures", err)
	}
	return database.Wrap("history: failures", rows.ForEach(func() error {
		var id event.ID
		var f Failure
		err := rows.Scan(&id, &f.Handler, &f.StepState, &f.Reason, &f.Detail)
		if item := items[id]; item != nil && f.precedes(item.Failure, handler) {
			item.Failure = f
		}
		return err
	}))
}

// precedes reports whether f is shown instead of a failure that was found before.
func (f Failure) precedes(found Failure, handler string) bool {
	switch handler {
	case found.Handler: // also if both are ""
		return handler == ""
	case f.Handler:
		return true
	default:
		return found.Handler == "" || f.StepState == event.Dead && found.StepState != event.Dead
	}
}

// addImages counts the images of each event and finds the first one. Its number is that in the order of Artifacts.
func (s *Store) addImages(ctx context.Context, items map[event.ID]*ListItem, ids []any) error {
	rows, err := database.Query(ctx, s.writer.DB.Reader, `SELECT event_id, width FROM artifacts
		WHERE event_id IN `+database.Values(1, len(ids))+` ORDER BY event_id, handler, position`, ids...)
	if err != nil {
		return database.Wrap("history: images", err)
	}
	numbers := make(map[event.ID]int, len(ids))
	return database.Wrap("history: images", rows.ForEach(func() error {
		var id event.ID
		var width int
		err := rows.Scan(&id, &width)
		if item := items[id]; item != nil && width > 0 {
			if item.Images++; item.First == nil {
				item.First = new(numbers[id])
			}
		}
		numbers[id]++
		return err
	}))
}

// StepCounts are the numbers of open and dead steps of one handler.
type StepCounts struct {
	Handler  string               `json:"-"`
	Pending  int                  `json:"pending"`
	Running  int                  `json:"running"`
	Retrying int                  `json:"retrying"`
	Dead     int                  `json:"dead"`
	Deferred int                  `json:"deferred"` // included in Retrying
	Reasons  map[event.Reason]int `json:"reasons"`  // why steps are dead or retrying
}

// StepCounts returns the numbers of open and dead steps by handler.
func (s *Store) StepCounts(ctx context.Context) (map[string]*StepCounts, error) {
	rows, err := database.Query(ctx, s.writer.DB.Reader, `
		SELECT handler, state, reason, count(*) FROM steps WHERE reason <> '' AND state IN ('dead', 'retrying') GROUP BY handler, state, reason
		UNION ALL SELECT handler, 'pending', '', count(*) FROM steps WHERE state = 'pending' GROUP BY handler
		UNION ALL SELECT handler, 'deferred', '', count(*) FROM steps WHERE deferred_at IS NOT NULL GROUP BY handler
		UNION ALL SELECT handler, 'deferred', '', count(*) FROM steps WHERE outage_at IS NOT NULL GROUP BY handler
		UNION ALL SELECT handler, 'running', '', count(*) FROM steps WHERE state = 'running' GROUP BY handler`)
	if err != nil {
		return nil, database.Wrap("history: step counts", err)
	}
	counts := map[string]*StepCounts{}
	err = rows.ForEach(func() error { return addStepCount(rows, counts) })
	return counts, database.Wrap("history: counts", err)
}

func addStepCount(rows *database.Rows, counts map[string]*StepCounts) error {
	var name, state string
	var reason event.Reason
	var n int
	if err := rows.Scan(&name, &state, &reason, &n); err != nil {
		return err
	}
	c := counts[name]
	if c == nil {
		c = &StepCounts{Handler: name, Reasons: map[event.Reason]int{}}
		counts[name] = c
	}
	switch state {
	case string(event.Pending):
		c.Pending = n
	case string(event.Running):
		c.Running = n
	case "deferred":
		c.Deferred += n
	case string(event.Retrying):
		c.Retrying += n
	default:
		c.Dead += n
	}
	if reason != "" {
		c.Reasons[reason] += n
	}
	return nil
}

// Oldest returns the time when the oldest event with a pending, running or retrying step was received; zero if there is none.
func (s *Store) Oldest(ctx context.Context) (time.Time, error) {
	var received sql.NullInt64
	// Grouped by handler, because the indexes begin with it. Otherwise Postgres reads all steps from the oldest on.
	err := s.writer.DB.Reader.QueryRowContext(ctx, `SELECT min(received_at) FROM events WHERE id IN (
		SELECT min(event_id) FROM steps WHERE state = 'pending' GROUP BY handler
		UNION SELECT min(event_id) FROM steps WHERE state = 'running' GROUP BY handler
		UNION SELECT min(event_id) FROM steps WHERE state = 'retrying' AND reason <> '' GROUP BY handler)`).Scan(&received)
	return database.FromMicros(received.Int64), database.Wrap("history: oldest", err)
}

// OldestByState returns when the oldest event in each state was received, finished ones apart. States without events are absent.
func (s *Store) OldestByState(ctx context.Context) (map[event.Status]time.Time, error) {
	oldest := map[event.Status]time.Time{}
	for _, state := range []event.Status{event.Pending, event.Running, event.Retrying, event.Dead, event.Quarantined} {
		var received sql.NullInt64
		// Ids grow with time, so that the first entry of an index is enough.
		err := s.writer.DB.Reader.QueryRowContext(ctx,
			"SELECT max(received_at) FROM (SELECT received_at FROM events WHERE state = $1 ORDER BY id LIMIT 1) AS first", string(state)).Scan(&received)
		if err != nil {
			return nil, database.Wrap("history: oldest by state", err)
		}
		if received.Valid {
			oldest[state] = database.FromMicros(received.Int64)
		}
	}
	return oldest, nil
}

// Rates counts the events that were received since a time, by bucket and state. A bucket begins at a multiple of its length since
// 1970.
func (s *Store) Rates(ctx context.Context, since time.Time, bucket time.Duration) (map[time.Time]map[event.Status]int64, error) {
	rows, err := database.Query(ctx, s.writer.DB.Reader, `SELECT received_at / $1 AS bucket, state, count(*) FROM events
		WHERE id >= $2 AND received_at >= $3 GROUP BY received_at / $1, state`,
		bucket.Microseconds(), firstID(since.Add(-clockSlack)), since.UnixMicro())
	if err != nil {
		return nil, database.Wrap("history: rates", err)
	}
	rates := map[time.Time]map[event.Status]int64{}
	err = rows.ForEach(func() error {
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

// maxTokenCount bounds the rows that ChangeToken counts of each state.
const maxTokenCount = 10_000

// ChangeToken is a version of the lists and the overview: it differs after every change through this process, and after nearly every
// change through another replica.
type ChangeToken struct {
	Writes   int64                  `json:"writes"`              // of this store, since it was opened
	Changed  time.Time              `json:"changed_at,omitzero"` // when a step that failed or is retried last changed
	Newest   event.ID               `json:"newest"`
	Counts   map[event.Status]int64 `json:"counts"`   // events in each state but done
	Deferred int64                  `json:"deferred"` // steps
	Disabled int64                  `json:"disabled"` // targets
}

// ChangeToken returns the change token of now. Its counts are bounded, so that it takes milliseconds.
func (s *Store) ChangeToken(ctx context.Context) (token ChangeToken, err error) {
	token.Writes, token.Counts = s.writer.Commits(), map[event.Status]int64{} // first: a write during the queries changes the next token
	count := func(rest string, values ...any) (n int64) {
		if err == nil {
			rest = "SELECT count(*) FROM (SELECT 1 FROM " + rest + " LIMIT $1) AS counted"
			err = database.Wrap("history: change token", s.writer.DB.Reader.QueryRowContext(ctx, rest, append([]any{maxTokenCount}, values...)...).Scan(&n))
		}
		return n
	}
	for _, state := range []event.Status{event.Pending, event.Running, event.Retrying, event.Dead, event.Quarantined} {
		token.Counts[state] = count("events WHERE state = $2", string(state))
	}
	token.Deferred, token.Disabled = count("steps WHERE deferred_at IS NOT NULL"), count("targets")
	if err != nil {
		return ChangeToken{}, err
	}
	found, err := s.List(ctx, "", 1)
	if err == nil && len(found) > 0 {
		token.Newest = found[0].ID
	}
	if err == nil {
		token.Changed, err = s.changed(ctx)
	}
	return token, err
}

// changed returns the time of the last change of a step with a failure. Other changes usually change the counts.
func (s *Store) changed(ctx context.Context) (time.Time, error) {
	var at sql.NullInt64
	err := s.writer.DB.Reader.QueryRowContext(ctx, "SELECT max(changed_at) FROM steps WHERE reason <> ''").Scan(&at)
	return database.FromMicros(at.Int64), database.Wrap("history: change token", err)
}
