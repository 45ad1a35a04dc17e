package backup

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// Stores are what Verify reads. It writes nothing, so that the receiver may run.
type Stores struct {
	Inbox, Work *sql.DB
	// Open opens a stored file, or returns blobstore.ErrNotFound.
	Open func(ctx context.Context, artifact event.Artifact) (*blobstore.Object, error)
}

// Problem is what Verify found wrong with one event or file.
type Problem struct {
	Kind  Kind     `json:"kind"`
	Event event.ID `json:"event,omitempty"`
	Job   string   `json:"job,omitempty"`
	Key   string   `json:"key,omitempty"` // of the stored file
	Text  string   `json:"text,omitempty"`
	// Sequence is the number of the event in the inbox.
	Sequence int64 `json:"-"`
}

// Kind is a kind of problem.
type Kind string

// The kinds of problems.
const (
	Damaged  Kind = "damaged"   // the structure of a database file is damaged
	NotAdded Kind = "not_added" // the work store lacks an event that was relayed
	NoBody   Kind = "no_body"   // the inbox lacks the body of an event
	Missing  Kind = "missing"   // a stored file is not there
	Changed  Kind = "changed"   // a stored file has other bytes than were stored
)

// Report is the result of Verify.
type Report struct {
	Accepted int64     `json:"accepted"` // events in the inbox
	Events   int64     `json:"events"`   // events in the work store
	Files    int64     `json:"files"`    // stored files
	Bytes    int64     `json:"bytes"`    // of the stored files
	Problems []Problem `json:"problems"`
}

// pageRows is how many rows are read at once.
const pageRows = 500

// Verify compares inbox, work store and stored files, and calls progress with how much of the rows is done.
func Verify(ctx context.Context, stores Stores, progress func(done, all int)) (Report, error) {
	v := &verifier{stores: stores, report: Report{Problems: []Problem{}}, progress: progress}
	for _, count := range []struct {
		from  *sql.DB
		table string
	}{{stores.Inbox, "callbacks"}, {stores.Work, "events"}, {stores.Work, "artifacts"}} {
		var n int
		if err := count.from.QueryRowContext(ctx, "SELECT count(*) FROM "+count.table).Scan(&n); err != nil {
			return v.report, database.Wrap("backup: count "+count.table, err)
		}
		v.all += n
	}
	for _, step := range []func(context.Context) error{v.accepted, v.events, v.files} {
		if err := step(ctx); err != nil {
			return v.report, err
		}
	}
	return v.report, nil
}

type verifier struct {
	stores    Stores
	report    Report
	progress  func(done, all int)
	done, all int
}

func (v *verifier) step(rows int) {
	v.done += rows
	v.progress(v.done, max(v.all, v.done))
}

func (v *verifier) found(p Problem) { v.report.Problems = append(v.report.Problems, p) }

// row is an event in one of the stores.
type row struct {
	sequence int64
	id       event.ID
	job      string
}

// accepted looks for relayed events that the work store lacks, but not for those whose bodies were removed. The relay adds an event
// before it leaves the outbox.
func (v *verifier) accepted(ctx context.Context) error {
	for last := int64(0); ; {
		page, err := readRows(ctx, v.stores.Inbox, `SELECT seq, id, job FROM callbacks WHERE seq > $1 AND length(body) > 0
			AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.seq = callbacks.seq) ORDER BY seq LIMIT $2`, last, pageRows)
		if err != nil || len(page) == 0 {
			return database.Wrap("backup: verify the inbox", err)
		}
		last = page[len(page)-1].sequence
		ids := make([]any, len(page))
		for i, r := range page {
			ids[i] = string(r.id)
		}
		known, err := readRows(ctx, v.stores.Work, "SELECT seq, id, job FROM events WHERE id IN "+database.Values(1, len(ids)), ids...)
		if err != nil {
			return database.Wrap("backup: verify the inbox", err)
		}
		v.missingFrom(known, page, NotAdded)
		v.report.Accepted += int64(len(page))
		v.step(len(page))
	}
}

// events looks for events whose bodies the inbox lacks.
func (v *verifier) events(ctx context.Context) error {
	for last := event.ID(""); ; {
		page, err := readRows(ctx, v.stores.Work, "SELECT seq, id, job FROM events WHERE id > $1 ORDER BY id LIMIT $2", string(last), pageRows)
		if err != nil || len(page) == 0 {
			return database.Wrap("backup: verify the events", err)
		}
		last = page[len(page)-1].id
		var pairs []any // the index of the inbox begins with the job
		for _, r := range page {
			pairs = append(pairs, r.job, string(r.id))
		}
		known, err := readRows(ctx, v.stores.Inbox,
			"WITH wanted (job, id) AS (VALUES "+database.Values(len(page), 2)+`)
			SELECT c.seq, c.id, c.job FROM wanted JOIN callbacks c ON c.job = wanted.job AND c.id = wanted.id`, pairs...)
		if err != nil {
			return database.Wrap("backup: verify the events", err)
		}
		v.missingFrom(known, page, NoBody)
		v.report.Events += int64(len(page))
		v.step(len(page))
	}
}

// missingFrom reports the rows that are not known.
func (v *verifier) missingFrom(known, rows []row, kind Kind) {
	ids := map[event.ID]bool{}
	for _, r := range known {
		ids[r.id] = true
	}
	for _, r := range rows {
		if !ids[r.id] {
			v.found(Problem{Kind: kind, Event: r.id, Job: r.job, Sequence: r.sequence})
		}
	}
}

// stored is an artifact and the event that it belongs to.
type stored struct {
	event.Artifact
	event event.ID
	job   string
}

// files reads every stored file and compares it with what was stored.
func (v *verifier) files(ctx context.Context) error {
	last := stored{}
	for {
		page, err := v.artifacts(ctx, last)
		if err != nil || len(page) == 0 {
			return database.Wrap("backup: verify the files", err)
		}
		for _, file := range page {
			problem, err := v.file(ctx, file.Artifact)
			if err != nil {
				return err
			}
			if problem.Kind != "" {
				problem.Event, problem.Job, problem.Key = file.event, file.job, file.Key
				v.found(problem)
			}
			v.report.Files++
			v.step(1)
		}
		last = page[len(page)-1]
	}
}

// artifacts returns the artifacts that follow one.
func (v *verifier) artifacts(ctx context.Context, last stored) (page []stored, err error) {
	rows, err := database.Query(ctx, v.stores.Work, `
		SELECT a.event_id, e.job, a.handler, a.position, a.key, a.url, a.bytes, a.sha256, a.media_type
		FROM artifacts a JOIN events e ON e.id = a.event_id
		WHERE (a.event_id, a.handler, a.position) > ($1, $2, $3) ORDER BY a.event_id, a.handler, a.position LIMIT $4`,
		string(last.event), last.Handler, last.Index, pageRows)
	if err != nil {
		return nil, err
	}
	err = rows.ForEach(func() error {
		var s stored
		err := rows.Scan(&s.event, &s.job, &s.Handler, &s.Index, &s.Key, &s.URL, &s.Bytes, &s.SHA256, &s.MediaType)
		page = append(page, s)
		return err
	})
	return page, err
}

func (v *verifier) file(ctx context.Context, artifact event.Artifact) (Problem, error) {
	object, err := v.stores.Open(ctx, artifact)
	if errors.Is(err, blobstore.ErrNotFound) {
		return Problem{Kind: Missing}, nil
	}
	if err != nil {
		return Problem{}, fmt.Errorf("backup: verify %s: %w", artifact.Key, err)
	}
	defer object.Close() //nolint:errcheck // only read from
	hash := sha256.New()
	n, err := io.Copy(hash, object)
	if err != nil {
		return Problem{}, fmt.Errorf("backup: verify %s: %w", artifact.Key, err)
	}
	v.report.Bytes += n
	if got := hex.EncodeToString(hash.Sum(nil)); got != artifact.SHA256 {
		return Problem{Kind: Changed, Text: fmt.Sprintf("%d bytes with SHA-256 %s instead of %d with %s", n, got, artifact.Bytes, artifact.SHA256)}, nil
	}
	return Problem{}, nil
}

func readRows(ctx context.Context, from *sql.DB, query string, arguments ...any) (list []row, err error) {
	rows, err := database.Query(ctx, from, query, arguments...)
	if err != nil {
		return nil, err
	}
	err = rows.ForEach(func() error {
		var r row
		err := rows.Scan(&r.sequence, &r.id, &r.job)
		list = append(list, r)
		return err
	})
	return list, err
}
