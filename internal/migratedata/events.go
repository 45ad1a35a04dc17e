package migratedata

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/queue"
)

// eventRow is a row of the table of events.
type eventRow struct {
	id, job, state, source, origin, url string
	input, reference, renewed           string
	received, bytes                     int64
	original                            int64
	verified, recheck, bodyRemoved      *int64
	key                                 *string
}

// events reads the next events of the source.
func (c *copier) events(ctx context.Context, after string) ([]eventRow, error) {
	columns := func(e *eventRow) []any {
		return []any{
			&e.id, &e.job, &e.state, &e.source, &e.origin, &e.url, &e.received, &e.bytes, &e.original, &e.verified, &e.recheck, &e.key, &e.bodyRemoved,
			&e.input, &e.reference, &e.renewed,
		}
	}
	return database.Select(ctx, c.source.Reader, columns, `
		SELECT id, job, state, source, origin, result_url, received_at, bytes, original_bytes, verified_at, recheck_at, result_key, body_removed_at,
			input, reference, renewed
		FROM events WHERE id > $1 ORDER BY id LIMIT $2`, after, copyRows)
}

// insertCopies adds the events that the inbox of the target has and its work store does not have yet, and returns their ids.
func insertCopies(ctx context.Context, tx *sql.Tx, events []eventRow, c *Copied) (fresh map[string]bool, err error) {
	var ids, jobs, states, sources, origins, urls, inputs, references, renewed []string
	var received, bytes, originals []int64
	var verified, rechecks, removed []*int64
	var keys []*string
	for _, e := range events {
		ids, jobs, states = append(ids, e.id), append(jobs, e.job), append(states, e.state)
		received, bytes, originals = append(received, e.received), append(bytes, e.bytes), append(originals, e.original)
		sources, origins, urls = append(sources, e.source), append(origins, e.origin), append(urls, e.url)
		inputs, references, renewed = append(inputs, e.input), append(references, e.reference), append(renewed, e.renewed)
		verified, rechecks, keys = append(verified, e.verified), append(rechecks, e.recheck), append(keys, e.key)
		removed = append(removed, e.bodyRemoved)
	}
	rows, err := database.Query(ctx, tx, `
		WITH given AS (
			SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[],
				$9::bigint[], $10::bigint[], $11::text[], $12::bigint[], $13::bigint[], $14::text[], $15::text[], $16::text[])
				AS g (id, job, received_at, bytes, state, source, origin, result_url, verified_at, recheck_at, result_key, original_bytes, body_removed_at,
					input, reference, renewed)
		), kept AS (
			SELECT given.*, k.seq FROM given JOIN callbacks k ON k.job = given.job AND k.id = given.id
		), fresh AS (
			INSERT INTO events (id, seq, job, received_at, bytes, original_bytes, state, source, origin, result_url, verified_at, recheck_at, result_key,
				body_removed_at, input, reference, renewed)
			SELECT id, seq, job, received_at, bytes, original_bytes, state, source, origin, result_url, verified_at, recheck_at,
				CASE WHEN NOT EXISTS (SELECT 1 FROM events e WHERE e.job = kept.job AND e.result_key = kept.result_key) THEN result_key END, body_removed_at,
				input, reference, renewed
			FROM kept
			ON CONFLICT (id) DO NOTHING RETURNING id
		)
		SELECT kept.id, fresh.id IS NOT NULL FROM kept LEFT JOIN fresh ON fresh.id = kept.id`,
		ids, jobs, received, bytes, states, sources, origins, urls, verified, rechecks, keys, originals, removed, inputs, references, renewed)
	if err != nil {
		return nil, err
	}
	fresh = map[string]bool{}
	var kept int64
	err = rows.ForEach(func() error {
		var id string
		var isFresh bool
		err := rows.Scan(&id, &isFresh)
		kept++
		if isFresh {
			fresh[id] = true
		}
		return err
	})
	c.Fresh = int64(len(fresh))
	c.Known, c.NoInbox = kept-c.Fresh, c.Found-kept
	return fresh, err
}

// openJobs returns a queue job for every open step whose event is in fresh, at its time. A deferred step gets its
// job when it resumes.
func openJobs(steps [][]any, fresh map[string]bool) []queue.Job {
	columns := strings.Split(stepColumns, ", ")
	stateColumn, nextColumn, deferredColumn := slices.Index(columns, "state"), slices.Index(columns, "next_at"), slices.Index(columns, "deferred_at")
	var jobs []queue.Job
	for _, row := range steps {
		id, name := fmt.Sprint(row[0]), fmt.Sprint(row[1])
		if !fresh[id] || row[deferredColumn] != nil {
			continue
		}
		switch event.Status(fmt.Sprint(row[stateColumn])) {
		case event.Pending, event.Running, event.Retrying:
			job := queue.Job{Event: event.ID(id), Handler: name}
			if next, ok := row[nextColumn].(int64); ok {
				job.At = time.UnixMicro(next)
			}
			jobs = append(jobs, job)
		}
	}
	return jobs
}
