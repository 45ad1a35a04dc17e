package loadtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/adminclient"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor"
	"golang.org/x/sync/errgroup"
)

const (
	auditWorkers = 8  // events that are compared at the same time
	maxDetails   = 20 // sentences of a report
)

// Stores say where a receiver keeps what it acknowledged.
type Stores struct {
	Admin  *adminclient.Client
	Images string    // folder of the bucket
	Since  time.Time // events that were received before are of others
}

// Comparison compares what was acknowledged with what is stored.
type Comparison struct {
	Acknowledged int `json:"acknowledged"` // events
	Repeats      int `json:"repeats"`      // answers that named the first event of a repeated callback
	Events       int `json:"events"`       // found by the admin API
	Done         int `json:"done"`
	Dead         int `json:"dead"`
	Open         int `json:"open"`  // neither done nor dead
	Right        int `json:"right"` // done, with all images byte for byte
	Files        int `json:"files"`

	Missing int `json:"missing"` // acknowledged events that the receiver does not have
	Doubled int `json:"doubled"` // events of a job, or successful attempts of a step, beyond the first
	Wrong   int `json:"wrong"`   // files with other content than the image, or than their SHA-256
	Stray   int `json:"stray"`   // files that belong to no event, temporary ones included
	Forged  int `json:"forged"`  // forged callbacks that were acted on
	Other   int `json:"other"`   // breaches of the contract that fit nowhere else

	Details  []string  `json:"details,omitempty"` // the first few faults
	Begun    time.Time `json:"begun_at"`          // when the first event was received
	Finished time.Time `json:"finished_at"`       // of the last step
}

// Perfect reports whether every acknowledged event is done once and every file is right.
func (f *Comparison) Perfect() bool { return f.Whole() && f.Dead == 0 }

// Whole reports whether nothing is lost, doubled or damaged: every event is done with the right files, or dead with a reason.
func (f *Comparison) Whole() bool {
	return f.Missing+f.Doubled+f.Wrong+f.Stray+f.Forged+f.Other+f.Open == 0 && f.Done == f.Right
}

// audit is one comparison.
type audit struct {
	stores Stores
	ledger *Ledger

	mutex sync.Mutex
	found Comparison
	known map[string]string // SHA-256 of every file that an event names, by key
}

// Reconcile reads every event through the admin API and every file of the bucket, and compares them with the ledger. Nothing may be
// sent meanwhile.
func Reconcile(ctx context.Context, stores Stores, ledger *Ledger) (Comparison, error) {
	a := &audit{stores: stores, ledger: ledger, known: map[string]string{}}
	events, err := a.list(ctx)
	if err != nil {
		return Comparison{}, err
	}
	a.count(events)
	var group errgroup.Group
	group.SetLimit(auditWorkers)
	for _, id := range events {
		group.Go(func() error { return a.check(ctx, id) })
	}
	if err := group.Wait(); err != nil {
		return Comparison{}, err
	}
	if err := a.walk(ctx); err != nil {
		return Comparison{}, err
	}
	slices.Sort(a.found.Details)
	return a.found, nil
}

// errOlder ends a listing at the first event that is of others.
var errOlder = errors.New("loadtest: older event")

// list returns the events since the begin, and counts the jobs that have more than one.
func (a *audit) list(ctx context.Context) (events []string, err error) {
	jobs := map[string]bool{}
	err = a.stores.Admin.ListEvents(ctx, url.Values{}, math.MaxInt, func(e adminclient.EventSummary) error {
		if e.Received.Before(a.stores.Since) {
			return errOlder
		}
		if jobs[e.Job] {
			a.fault(&a.found.Doubled, "job %s has more than one event", e.Job)
		}
		jobs[e.Job] = true
		events = append(events, string(e.ID))
		a.found.Begun = e.Received // the newest come first
		return nil
	})
	if errors.Is(err, errOlder) {
		err = nil
	}
	return events, err
}

// count compares the list with the answers.
func (a *audit) count(events []string) {
	a.ledger.mutex.Lock()
	defer a.ledger.mutex.Unlock()
	a.found.Events, a.found.Acknowledged, a.found.Repeats = len(events), len(a.ledger.acknowledged), a.ledger.repeats
	have := make(map[string]bool, len(events))
	for _, id := range events {
		have[id] = true
	}
	for job, id := range a.ledger.acknowledged {
		if !have[id] {
			a.fault(&a.found.Missing, "event %s of job %s was acknowledged and is missing", id, job)
		}
	}
	for _, text := range a.ledger.faults {
		a.fault(&a.found.Other, "%s", text)
	}
}

// fault counts a fault and keeps its sentence.
func (a *audit) fault(counter *int, format string, values ...any) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	*counter++
	if len(a.found.Details) < maxDetails {
		a.found.Details = append(a.found.Details, fmt.Sprintf(format, values...))
	}
}

func (a *audit) add(counter *int) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	*counter++
}

// check compares one event with its job.
func (a *audit) check(ctx context.Context, id string) error {
	e, _, err := a.stores.Admin.Event(ctx, id)
	if err != nil {
		return err
	}
	a.ledger.mutex.Lock()
	job, sent := a.ledger.sent[e.Job]
	forged := a.ledger.forged[e.Job]
	a.ledger.mutex.Unlock()
	switch {
	case forged:
		if e.State == event.Done || len(e.Artifacts) > 0 {
			a.fault(&a.found.Forged, "forged event %s is %s with %d files", id, e.State, len(e.Artifacts))
		}
		return nil
	case !sent:
		a.fault(&a.found.Other, "event %s is of the job %.64q, of which no callback was sent", id, e.Job)
		return nil
	}
	a.checkSteps(e)
	right := a.checkFiles(e, job)
	switch e.State {
	case event.Done:
		a.add(&a.found.Done)
		if right {
			a.add(&a.found.Right)
		}
	case event.Dead:
		a.add(&a.found.Dead)
	default:
		a.fault(&a.found.Open, "event %s is %s", id, e.State)
	}
	return nil
}

// checkSteps looks for steps that were done twice, and for dead steps without a reason.
func (a *audit) checkSteps(e adminclient.Event) {
	for _, step := range e.Steps {
		a.mutex.Lock()
		if step.Changed.After(a.found.Finished) {
			a.found.Finished = step.Changed
		}
		a.mutex.Unlock()
		done := 0
		for _, attempt := range step.Attempts {
			if attempt.Outcome == event.Done {
				done++
			}
		}
		if done > 1 {
			a.fault(&a.found.Doubled, "step %s of event %s was done %d times", step.Handler, e.ID, done)
		}
		if step.State == event.Dead && (step.Reason == "" || step.Detail == "") {
			a.fault(&a.found.Other, "step %s of event %s is dead without a reason", step.Handler, e.ID)
		}
	}
}

// checkFiles compares the files of an event with its SHA-256 and with the images of the job, and reports whether all are right.
func (a *audit) checkFiles(e adminclient.Event, job fakevendor.Job) bool {
	var got, want []string
	whole := true
	for _, artifact := range e.Artifacts {
		a.mutex.Lock()
		a.known[artifact.Key] = artifact.SHA256
		a.mutex.Unlock()
		if sum, err := sumOf(filepath.Join(a.stores.Images, filepath.FromSlash(artifact.Key))); err != nil || sum != artifact.SHA256 {
			a.fault(&a.found.Wrong, "file %s of event %s: SHA-256 %s, error %v; want %s", artifact.Key, e.ID, sum, err, artifact.SHA256)
			whole = false
		}
		if artifact.Index >= 0 {
			got = append(got, artifact.SHA256)
		}
	}
	for _, image := range job.Images {
		want = append(want, image.SHA256)
	}
	if e.State == event.Done && !slices.Equal(got, want) {
		a.fault(&a.found.Wrong, "event %s has images %.12q, want %.12q", e.ID, got, want)
		return false
	}
	return whole
}

// sumOf returns the SHA-256 of a file.
func sumOf(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close() //nolint:errcheck // only read from
	sum := sha256.New()
	_, err = io.Copy(sum, file)
	return hex.EncodeToString(sum.Sum(nil)), err
}

// walk looks for files that no event names. A running receiver has no temporary file when it has nothing to do.
func (a *audit) walk(ctx context.Context) error {
	return filepath.WalkDir(a.stores.Images, func(path string, entry fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || entry.IsDir() || entry.Name() == "lock" {
			return err
		}
		key := filepath.ToSlash(strings.TrimPrefix(path, a.stores.Images+string(filepath.Separator)))
		a.found.Files++
		if a.known[key] == "" {
			a.fault(&a.found.Stray, "file %s belongs to no event", key)
		}
		return nil
	})
}
