// Package admin is the second door, for those who run the receiver: a JSON API and
// a dashboard that say whether callbacks come in, whether the images are safe, what is
// stuck and why, and what can be done about it.
package admin

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/rs/zerolog"
)

// ErrNotFound is what those behind the door say of something that does not exist.
var ErrNotFound = errors.New("admin: no such thing")

// ErrBusy says that one replay of many events is under way already.
var ErrBusy = errors.New("admin: a replay is under way")

// ErrSettled says that an event is not quarantined.
var ErrSettled = errors.New("admin: the event is not quarantined")

// ErrNoKey says that something needs the key of the vendor's API, and there is none.
var ErrNoKey = errors.New("admin: there is no key of the vendor's API")

// ErrNoPublicURL says that something needs the address by which the outside reaches the receiver, and it is not known.
var ErrNoPublicURL = errors.New("admin: the public address is not known")

// Events reads what became of the events.
type Events interface {
	// List gives the newest events that the filter lets through and that are older than the one
	// named (all if ""), at most limit of them.
	List(ctx context.Context, filter Filter, before event.ID, limit int) ([]Summary, error)
	// Load gives one event, or ErrNotFound.
	Load(ctx context.Context, id event.ID) (Event, error)
	// Body is the body of an event byte for byte, or ErrNotFound.
	Body(ctx context.Context, id event.ID) ([]byte, error)
}

// Replays has steps run again.
type Replays interface {
	// Replay resets the dead steps of an event, also those that are done if finished is set; of all
	// handlers if handler is "". It says how many it reset: none if all are under way already.
	Replay(ctx context.Context, id event.ID, handler string, finished bool) (int, error)
	// Count is how many events with a dead step the filter lets through; it counts no further than limit.
	Count(ctx context.Context, filter Filter, limit int) (int, error)
	// Begin replays the dead steps of all events that the filter lets through, little by little
	// and after new work, and returns as soon as that is written down; ErrBusy if another such replay is under way.
	Begin(ctx context.Context, filter Filter) error
	// Progress tells of the latest, in whichever replica it is under way.
	Progress(ctx context.Context) (Progress, error)
}

// Quarantine is where events wait that nobody vouches for.
type Quarantine interface {
	// VerifyAgain asks the vendor once more about a quarantined event; ErrNotFound, or ErrSettled if it is not quarantined.
	VerifyAgain(ctx context.Context, id event.ID) error
	// Release lets a quarantined event go on without that; errors as above.
	Release(ctx context.Context, id event.ID) error
	// Quarantined is how many are quarantined now, all of them.
	Quarantined(ctx context.Context) (int, error)
	// VerifyAllAgain and ReleaseAll do so for all that are quarantined now, and say how many those are.
	VerifyAllAgain(ctx context.Context) (int, error)
	ReleaseAll(ctx context.Context) (int, error)
}

// TrackedJobs are jobs whose callbacks are expected.
type TrackedJobs interface {
	// TrackJobs registers jobs and returns all of them; ErrNoKey if the vendor cannot be asked about them.
	TrackJobs(ctx context.Context, jobs []string) ([]Job, error)
	// ListJobs lists those in a state (all if ""), older than the one named (all if ""), at most limit of them.
	ListJobs(ctx context.Context, state, before string, limit int) ([]Job, error)
	// FindJob returns one by the vendor's id of the job or by its own id; ErrNotFound if there is none.
	FindJob(ctx context.Context, id string) (Job, error)
	// CountJobs counts them by their state.
	CountJobs(ctx context.Context) (map[string]int64, error)
}

// Rejections are the bodies of callbacks that were no events.
type Rejections interface {
	// Rejections lists the newest, at most limit of them.
	Rejections(ctx context.Context, limit int) ([]event.Rejection, error)
}

// Targets are the steps as something that can be switched off.
type Targets interface {
	Targets(ctx context.Context) ([]Target, error)
	// Disable parks what is for the target from now on; ErrNotFound for a name nobody knows.
	Disable(ctx context.Context, name string) error
	// Enable has it sent to again; ErrNotFound for a name nobody knows.
	Enable(ctx context.Context, name string) error
}

// Artifacts opens what handlers have stored; blobstore.ErrNotFound for what is gone.
type Artifacts interface {
	Open(ctx context.Context, artifact event.Artifact) (*blobstore.Object, error)
}

// Deps is who answers behind the door.
type Deps struct {
	Log     zerolog.Logger
	Events  Events
	Replays Replays
	Counts  *Counts
	// Mark changes whenever something does that the dashboard shows. It is cheap.
	Mark       func(ctx context.Context) (Mark, error)
	Rejections Rejections
	Quarantine Quarantine
	Tracked    TrackedJobs
	Jobs       Jobs
	Sessions   Sessions
	Targets    Targets
	Artifacts  Artifacts
	// Redact makes a body fit to be shown.
	Redact func(body []byte) ([]byte, error)
	Setup  Setup
	// Metrics answers GET /metrics.
	Metrics    http.Handler
	Thumbnails Thumbnails
}

// Admin is the door. It is safe for use by many goroutines.
type Admin struct {
	config   Config
	deps     Deps
	access   *access
	pages    *pages
	streams  *streams
	ending   chan struct{} // closed when answers without an end are to end
	endOnce  sync.Once
	crossing *http.CrossOriginProtection

	submissions chan struct{} // holds one for each that is under way
}

// New makes the door.
func New(config Config, deps Deps) (*Admin, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	a := &Admin{config: config, deps: deps, ending: make(chan struct{}), crossing: http.NewCrossOriginProtection()}
	a.submissions = make(chan struct{}, maxSubmissions)
	a.access = newAccess(config.Token, deps.Sessions)
	var err error
	if a.pages, err = newPages(a.hasThumbnail); err != nil {
		return nil, err
	}
	a.streams = newStreams(deps.Mark, deps.Counts.lags, deps.Log)
	return a, nil
}

// End ends the streams, because the listener stops.
func (a *Admin) End() { a.endOnce.Do(func() { close(a.ending) }) }
