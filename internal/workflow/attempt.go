package workflow

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/netip"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/queue"
)

// Attempt is one execution of one step. Its number is a fencing token: as soon as a later attempt has begun, the outcome of this
// one is refused.
type Attempt struct {
	Event     event.ID
	Handler   string
	Job       string
	Names     event.Names
	Received  time.Time
	Number    int           // from 1, over all attempts of the step
	Tries     int           // attempts that count against the maximum, this one included
	Age       time.Duration // since the first attempt began
	Started   time.Time
	Artifacts []event.Artifact // of the event so far
	Bytes     int64            // length of the body

	Source    netip.Addr
	Origin    event.Origin
	ResultURL string   // reported by the API; "" for that of the body
	Renewed   []string // newly signed URLs of the results; nil for those of the body
	Recheck   bool     // a person wants the API to be asked again
	Probe     bool     // of a disabled target; success enables it
}

// Begin starts an attempt, which makes every earlier attempt of the step stale. It returns ErrFinished if the step is done, dead,
// skipped or deferred, or waits for an earlier stage; *NotYetError if its next attempt is due later, as after a crash; and
// ErrNotFound if there is no such step. If the target is disabled, it defers the step and returns ErrDeferred, unless the attempt is
// the next probe of the target. After several crashes it returns ErrCrashProne, or *NotYetError.
func (s *Store) Begin(ctx context.Context, job queue.Job) (Attempt, error) {
	return s.begin(ctx, job, false, false)
}

// BeginAlone is Begin for a step for which Begin returned ErrCrashProne. alone says that nothing else runs in this process.
func (s *Store) BeginAlone(ctx context.Context, job queue.Job, alone bool) (Attempt, error) {
	return s.begin(ctx, job, true, alone)
}

func (s *Store) begin(ctx context.Context, job queue.Job, prone, alone bool) (Attempt, error) {
	attempt := Attempt{Event: job.Event, Handler: job.Handler}
	var found foundStep
	var pause time.Duration
	err := s.writer.WriteRow(ctx, "workflow: begin", "events", string(job.Event), func(ctx context.Context, tx *sql.Tx) (err error) {
		attempt.Started, pause = s.Now(), 0
		if found, err = loadStep(ctx, tx, &attempt); err != nil {
			return err
		}
		crash := s.crashOf(&attempt, found)
		if pause = crash.pause(); pause > 0 {
			return s.putOff(ctx, tx, attempt, crash.count, pause)
		}
		if crash.isCrashProne() && !prone {
			return ErrCrashProne
		}
		if found.disabled {
			if found.disabled, err = deferOrProbe(ctx, tx, &attempt); err != nil || found.disabled {
				return err
			}
		}
		if err := s.startAttempt(ctx, tx, &attempt, crash.count, alone && crash.isOurs); err != nil {
			return err
		}
		if found.artifacts {
			attempt.Artifacts, err = history.Artifacts(ctx, tx, job.Event)
		}
		if err != nil {
			return err
		}
		return refreshEvent(ctx, tx, job.Event)
	})
	return attempt, begun(err, found.disabled, pause)
}

// deferOrProbe defers a step of a disabled target, unless its attempt is the next probe of the target.
func deferOrProbe(ctx context.Context, tx *sql.Tx, attempt *Attempt) (deferred bool, err error) {
	if attempt.Probe, err = claimProbe(ctx, tx, attempt.Handler, attempt.Started); err != nil || attempt.Probe {
		return false, err
	}
	return true, deferStep(ctx, tx, *attempt)
}

// begun returns the error of Begin for a transaction that ended with err.
func begun(err error, disabled bool, pause time.Duration) error {
	switch {
	case err != nil:
		return err
	case pause > 0:
		return &NotYetError{errNotYet, pause}
	case disabled:
		return ErrDeferred
	default:
		return nil
	}
}

// startAttempt counts and records the attempt that begins. counts says that a crash during it counts against the step.
func (s *Store) startAttempt(ctx context.Context, tx *sql.Tx, a *Attempt, crashes int, counts bool) error {
	now := a.Started.UnixMicro()
	a.Number++
	a.Tries++
	_, err := tx.ExecContext(ctx, `UPDATE steps
		SET state = 'running', attempt = $1, tries = $2, since = $3, next_at = NULL, outage_at = NULL, host = '', changed_at = $4,
			crashes = $7, runner = $8, alone = $9
		WHERE event_id = $5 AND handler = $6`, a.Number, a.Tries, now-a.Age.Microseconds(), now, a.Event, a.Handler, crashes, s.runner, flag(counts))
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO attempts (event_id, handler, attempt, started_at, outcome)
		VALUES ($1, $2, $3, $4, 'running')`, a.Event, a.Handler, a.Number, now)
	return err
}

// foundStep is what loadStep finds beside the attempt.
type foundStep struct {
	disabled  bool // the target is
	artifacts bool // the event has some

	state   event.Status
	crashes int    // attempts in a row that ended with their process
	runner  string // the process that began the latest attempt, or noticed that it crashed
	alone   bool   // a crash during the latest attempt counts
}

// loadStep fills the attempt from the store, but for the artifacts, and checks that it may begin.
func loadStep(ctx context.Context, tx *sql.Tx, a *Attempt) (found foundStep, err error) {
	var since, received int64
	var alone int
	var next, deferred, recheck sql.NullInt64
	var source, renewed string
	err = tx.QueryRowContext(ctx, `
		SELECT steps.state, attempt, tries, since, next_at, deferred_at, job, received_at, bytes, source, origin, input, reference, result_url,
			renewed, recheck_at,
			EXISTS (SELECT 1 FROM targets WHERE name = handler), EXISTS (SELECT 1 FROM artifacts WHERE artifacts.event_id = events.id),
			crashes, runner, alone
		FROM steps JOIN events ON events.id = steps.event_id
		WHERE event_id = $1 AND handler = $2`, a.Event, a.Handler).
		Scan(&found.state, &a.Number, &a.Tries, &since, &next, &deferred, &a.Job, &received, &a.Bytes, &source, &a.Origin,
			&a.Names.Input, &a.Names.Reference, &a.ResultURL, &renewed, &recheck, &found.disabled, &found.artifacts, &found.crashes, &found.runner, &alone)
	if errors.Is(err, sql.ErrNoRows) {
		return found, ErrNotFound
	}
	if err != nil {
		return found, err
	}
	if renewed != "" {
		if err := json.Unmarshal([]byte(renewed), &a.Renewed); err != nil {
			return found, err
		}
	}
	state := found.state
	found.alone = alone != 0
	a.Received, a.Recheck = time.UnixMicro(received).UTC(), recheck.Valid
	a.Source, _ = netip.ParseAddr(source) // "" is the zero Addr
	if a.Number > 0 {                     // a step does not age before its first attempt
		a.Age = a.Started.Sub(time.UnixMicro(since))
	}
	switch {
	case deferred.Valid: // Resume inserts another queue job
		return found, ErrFinished
	case state == event.Pending || state == event.Running || state == event.Retrying:
		return found, checkDue(database.FromMicros(next.Int64), a.Started)
	default:
		return found, ErrFinished
	}
}

// NotYetError means that the next attempt of a step is due later.
type NotYetError struct {
	database.Refusal
	After time.Duration
}

// checkDue returns a *NotYetError if next is later than now. It tolerates the inaccuracy of clocks and queues.
func checkDue(next, now time.Time) error {
	const slack = 100 * time.Millisecond
	if after := next.Sub(now); !next.IsZero() && after > slack {
		return &NotYetError{errNotYet, after}
	}
	return nil
}

// Result is how an attempt ended.
type Result struct {
	State     event.Status // Done, Skipped, Retrying, Dead, Quarantined, or Pending for an attempt that was interrupted
	Action    event.Action // what follows a failure; empty after success and interruption
	Cause     event.Cause  // refines Action
	Reason    event.Reason
	Detail    string    // a sentence for a person
	Host      string    // that is not allowed, for that reason
	NextAt    time.Time // of the next attempt, with Retrying; with Quarantined, of Recheck, or zero for never
	Artifacts []event.Artifact

	ResultURL   string // the result URL that the vendor reported without a verification
	VerifiedURL string // the result URL that the vendor confirmed: one event of the job is processed for it
	// VerifiedResults are URLs of results that count beside VerifiedURL: with others it is another result of the job.
	VerifiedResults []string
	// SupersededBy is set by Finish: the event of the same job that is processed instead. State is Skipped then.
	SupersededBy event.ID
}

// IsDeferred reports whether the step has no job until Resume inserts one.
func (r Result) IsDeferred() bool {
	return r.Action == event.ActionDisable || r.Action == event.ActionDefer && r.Cause != event.CauseStep
}

// countsAsAttempt reports whether the attempt counts against the maximum.
func (r Result) countsAsAttempt() bool {
	switch r.Action {
	case event.ActionDefer, event.ActionHold, event.ActionDisable:
		return false
	default:
		return r.State != event.Pending
	}
}

// Finish records how an attempt ended, with its artifacts. The same transaction makes the steps of the next stage
// pending, and disables the target for ActionDisable. It returns what was recorded, which differs from r if another event
// of the job supersedes this one. It returns ErrStale and records nothing if a later attempt has begun or the step was
// finished otherwise.
func (s *Store) Finish(ctx context.Context, a Attempt, r Result) (recorded Result, err error) {
	r.Detail = database.SanitizeText(r.Detail)
	err = s.writer.WriteRow(ctx, "workflow: finish", "events", string(a.Event), func(ctx context.Context, tx *sql.Tx) error {
		recorded = r
		claimant, err := findClaimant(ctx, tx, a, r)
		if err != nil {
			return err
		}
		if claimant.isAlive() {
			recorded = superseded(r, claimant)
		}
		if err := s.updateStep(ctx, tx, a, recorded); err != nil {
			return err
		}
		if err := s.endAttempt(ctx, tx, a, recorded); err != nil {
			return err
		}
		if err := insertArtifacts(ctx, tx, a.Event, recorded.Artifacts); err != nil {
			return err
		}
		if err := s.follow(ctx, tx, a, recorded, claimant); err != nil {
			return err
		}
		return refreshEvent(ctx, tx, a.Event)
	})
	return recorded, err
}

// follow records what a result means for the rest of the event and for the target.
func (s *Store) follow(ctx context.Context, tx *sql.Tx, a Attempt, r Result, other claimant) (err error) {
	switch {
	case r.Action == event.ActionDisable:
		err = s.disable(ctx, tx, a.Handler, r.Reason, r.Detail, probePeriod)
	case a.Probe && r.State == event.Done:
		_, err = tx.ExecContext(ctx, "DELETE FROM targets WHERE name = $1 AND probe_until IS NOT NULL", a.Handler)
	}
	switch {
	case err != nil:
	case r.SupersededBy != "":
		return skipWaiting(ctx, tx, a.Event, r.Detail)
	case r.VerifiedURL != "":
		err = claimResult(ctx, tx, a, r, other)
	case r.ResultURL != "":
		err = setResultURL(ctx, tx, a.Event, r.ResultURL)
	}
	if err == nil && (r.State == event.Done || r.State == event.Skipped) {
		err = s.startNextStage(ctx, tx, a.Event)
	}
	return err
}

// endAttempt records an attempt in the history, or deletes it if nothing was tried.
func (s *Store) endAttempt(ctx context.Context, tx *sql.Tx, a Attempt, r Result) error {
	const condition = " WHERE event_id = $1 AND handler = $2 AND attempt = $3"
	if r.Action == event.ActionDefer {
		_, err := tx.ExecContext(ctx, "DELETE FROM attempts"+condition, a.Event, a.Handler, a.Number)
		return err
	}
	_, err := tx.ExecContext(ctx, "UPDATE attempts SET finished_at = $4, outcome = $5, reason = $6, detail = $7"+condition,
		a.Event, a.Handler, a.Number, s.Now().UnixMicro(), string(r.State), string(r.Reason), r.Detail)
	return err
}

// updateStep records the result in the step. It returns ErrStale if the attempt is not the one that runs.
func (s *Store) updateStep(ctx context.Context, tx *sql.Tx, a Attempt, r Result) error {
	tries := a.Tries
	if !r.countsAsAttempt() {
		tries--
	}
	now := s.Now().UnixMicro()
	var next, deferred, outage any
	var pause int64 // in which the step does not age; Resume adds it for deferred steps
	if r.State == event.Retrying || r.State == event.Quarantined && !r.NextAt.IsZero() {
		next = r.NextAt.UnixMicro()
	}
	switch {
	case r.IsDeferred():
		deferred = now
	case r.Action == event.ActionDefer:
		outage = now
		pause = max(0, r.NextAt.UnixMicro()-now)
	}
	result, err := tx.ExecContext(ctx, `UPDATE steps
		SET state = $1, reason = $2, detail = $3, tries = $4, next_at = $5, deferred_at = $6, changed_at = $7, since = since + $11,
			outage_at = $12, host = $13, crashes = 0, alone = 0
		WHERE event_id = $8 AND handler = $9 AND attempt = $10 AND state = 'running'`,
		string(r.State), string(r.Reason), r.Detail, tries, next, deferred, now, a.Event, a.Handler, a.Number, pause,
		outage, r.Host)
	if err != nil {
		return err
	}
	if rows, err := result.RowsAffected(); err != nil || rows == 0 {
		return errors.Join(ErrStale, err)
	}
	return nil
}

// startNextStage makes the steps of the next stage pending, if all steps of earlier stages are done or skipped.
func (s *Store) startNextStage(ctx context.Context, tx *sql.Tx, id event.ID) error {
	now := s.Now().UnixMicro()
	rows, err := database.Query(ctx, tx, `UPDATE steps SET state = 'pending', since = $1, changed_at = $1
		WHERE event_id = $2 AND state = 'waiting' AND position = (
			SELECT min(position) FROM steps WHERE event_id = $2 AND state NOT IN ('done', 'skipped'))
		RETURNING handler`, now, id)
	if err != nil {
		return err
	}
	return s.insertJobs(ctx, tx, id, rows)
}

// insertJobs inserts queue jobs for steps of an event. rows holds their handlers.
func (s *Store) insertJobs(ctx context.Context, tx *sql.Tx, id event.ID, rows *database.Rows) error {
	var jobs []queue.Job
	err := rows.ForEach(func() error {
		job := queue.Job{Event: id}
		err := rows.Scan(&job.Handler)
		jobs = append(jobs, job)
		return err
	})
	if err != nil {
		return err
	}
	return s.queue.Insert(ctx, tx, jobs)
}

// refreshEvent derives the state of an event from its steps. A state that needs a person has precedence.
func refreshEvent(ctx context.Context, tx *sql.Tx, id event.ID) error {
	_, err := tx.ExecContext(ctx, `UPDATE events SET state = (
		SELECT CASE
			WHEN count(CASE WHEN state = 'quarantined' THEN 1 END) > 0 THEN 'quarantined'
			WHEN count(CASE WHEN state = 'dead'     THEN 1 END) > 0 THEN 'dead'
			WHEN count(CASE WHEN state = 'retrying' THEN 1 END) > 0 THEN 'retrying'
			WHEN count(CASE WHEN state = 'running'  THEN 1 END) > 0 THEN 'running'
			WHEN count(CASE WHEN state IN ('pending', 'waiting') THEN 1 END) > 0 THEN 'pending'
			ELSE 'done'
		END FROM steps WHERE event_id = events.id)
		WHERE id = $1`, id)
	return err
}

func insertArtifacts(ctx context.Context, tx *sql.Tx, id event.ID, artifacts []event.Artifact) error {
	insert := database.Insert{
		Into:    "artifacts (event_id, handler, position, source, key, url, bytes, sha256, media_type, width, height, stored_at)",
		Columns: 12,
		Suffix: ` ON CONFLICT (event_id, handler, position) DO UPDATE SET
			source = excluded.source, key = excluded.key, url = excluded.url, bytes = excluded.bytes, sha256 = excluded.sha256,
			media_type = excluded.media_type, width = excluded.width, height = excluded.height, stored_at = excluded.stored_at`,
	}
	for _, a := range artifacts {
		insert.Add(string(id), a.Handler, a.Index, database.SanitizeText(a.Source), a.Key, a.URL, a.Bytes, a.SHA256, a.MediaType, a.Width, a.Height,
			a.Stored.UnixMicro())
	}
	return insert.Run(ctx, tx, nil)
}
