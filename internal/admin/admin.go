// Package admin is the admin listener: a JSON API and a dashboard for operators, over the stores. It shows whether
// callbacks arrive and images are stored, what failed and why, and offers the actions that repair it.
package admin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/deepimage-receiver/receiver/internal/memory"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/deepimage-receiver/receiver/internal/reconcile"
	"github.com/deepimage-receiver/receiver/internal/replay"
	"github.com/deepimage-receiver/receiver/internal/retention"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/deepimage-receiver/receiver/internal/submit"
	"github.com/deepimage-receiver/receiver/internal/thumbnail"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/rs/zerolog"
)

// Deps are the stores and services behind the listener.
type Deps struct {
	Log         zerolog.Logger
	Inbox       *inbox.Inbox
	Workflow    *workflow.Store
	History     *history.Store
	Jobs        *jobs.Store
	BulkReplays *replay.Store
	Sessions    *SessionStore

	Replayer   *replay.Replayer
	Reconciler *reconcile.Reconciler // nil without a key of the vendor's API
	Submitter  *submit.Submitter
	Thumbnails *thumbnail.Maker // nil if there are none
	// OpenArtifact opens a stored file; blobstore.ErrNotFound if it was deleted.
	OpenArtifact func(ctx context.Context, artifact event.Artifact) (*blobstore.Object, error)

	// Erase removes all that is stored about a job, with images its stored files too. Beside an error, the result has the job if it is
	// erased in the background.
	Erase func(ctx context.Context, job string, images bool) (retention.Erased, error)

	Memory   *memory.Part     // for bodies; nil for no limit
	Handlers []string         // names of the configured steps, in their order
	Disks    func() []Disk    // current usage
	Warnings func() []Warning // about the receiver, shown on every page; nil if there are none
	Metrics  http.Handler     // answers GET /metrics
	Setup    Setup
}

// Setup is how the receiver is configured.
type Setup struct {
	Settings      []Setting
	WebhookToken  secret.Value
	PublicURL     string          // "" if unknown; jobs cannot be submitted then
	MaxSubmission int             // bytes of a request to the vendor, so that its echo fits into a callback
	PublicAddr    func() net.Addr // of the public listener of this process
}

// Admin is the admin listener. It is safe for use by many goroutines.
type Admin struct {
	config  Config
	deps    Deps
	auth    *auth
	pages   *pages
	stats   *statsCache
	streams *streams
	ending  chan struct{} // closed when streams must end
	endOnce sync.Once
	origins *http.CrossOriginProtection

	submissions chan struct{} // holds one token for each submission that is running
}

// New returns the listener.
func New(config Config, deps Deps) (*Admin, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	a := &Admin{config: config, deps: deps, ending: make(chan struct{}), origins: http.NewCrossOriginProtection()}
	a.submissions = make(chan struct{}, maxSubmissions)
	a.auth = newAuth(config.Token, deps.Sessions)
	a.stats = newStatsCache(a.countStats)
	var err error
	if a.pages, err = newPages(config.basePath(), a.hasThumbnail); err != nil {
		return nil, err
	}
	a.streams = newStreams(a.changeToken, a.stats.isStale, deps.Log)
	return a, nil
}

// warnings returns the warnings about the receiver, never nil.
func (a *Admin) warnings() []Warning {
	list := []Warning{}
	if a.deps.Warnings != nil {
		list = append(list, a.deps.Warnings()...)
	}
	return list
}

// End ends the streams, because the listener stops.
func (a *Admin) End() { a.endOnce.Do(func() { close(a.ending) }) }

// storeFailure turns an error of the stores into a problem.
func storeFailure(err error) error {
	_, isProblem := errors.AsType[*problem.Error](err)
	conflict := func(detail string) error { return &problem.Error{Code: problem.CodeConflict, Detail: detail, Err: err} }
	switch {
	case err == nil, isProblem:
		return err
	case errors.Is(err, database.ErrNotFound), errors.Is(err, inbox.ErrNotFound):
		return &problem.Error{Code: problem.CodeNotFound, Detail: "Not found.", Err: err}
	case errors.Is(err, replay.ErrBusy):
		return conflict("A bulk replay is already running. Wait until it ends.")
	case errors.Is(err, retention.ErrRunning):
		return conflict("A step of the job is running, so nothing was erased. Try again when it has ended.")
	case errors.Is(err, workflow.ErrFinished):
		return conflict("The event is not quarantined.")
	case errors.Is(err, event.ErrBacklogFull):
		return problem.Unavailable("Too many events are waiting.", err)
	case errors.Is(err, memory.ErrFull):
		return problem.Unavailable("Too many large bodies are being read. Try again later.", err)
	case database.IsUnavailable(err):
		return problem.Unavailable("The database is not available. The receiver continues by itself when it is back.", err)
	default:
		return err
	}
}
