// Package retention removes what is older than the operator wants to keep: bodies, events, rejected callbacks, thumbnails. It works in
// small batches with pauses, beside the accepting of callbacks, and in Postgres at one replica at a time.
package retention

import (
	"context"
	"errors"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/rs/zerolog"
)

// Config is how long what is kept. 0 keeps it for ever.
type Config struct {
	Bodies     time.Duration `envconfig:"BODIES" default:"0s" range:"0s..87600h" desc:"age at which the bodies of done events are removed, at least 1h; their history stays, but they cannot be replayed; 0s keeps them"`
	Events     time.Duration `envconfig:"EVENTS" default:"0s" range:"0s..87600h" desc:"age at which done events are removed with their history, at least 1h; a repeat is still a duplicate; 0s keeps them"`
	Dead       time.Duration `envconfig:"DEAD" default:"0s" range:"0s..87600h" desc:"age at which dead events are removed with their history, at least 1h; 0s keeps them"`
	Images     time.Duration `envconfig:"IMAGES" default:"0s" range:"0s..87600h" desc:"age at which the stored images of done events are deleted from their bucket, at least 1h; those of removed events are deleted too; 0s keeps them"`
	Tombstones time.Duration `envconfig:"TOMBSTONES" default:"0s" range:"0s..87600h" desc:"time after the removal of an event in which a repeat is a duplicate, at least 24h; tracked jobs that are resolved are removed at this age too; 0s is for ever"`
	Rejections time.Duration `envconfig:"REJECTIONS" default:"0s" range:"0s..87600h" desc:"age at which rejected callbacks are removed, at least 1h; 0s keeps them within INBOX_MAX_REJECTIONS"`
	Thumbnails time.Duration `envconfig:"THUMBNAILS" default:"720h" range:"0s..87600h" desc:"time without use after which a thumbnail is removed, at least 1h; it is made again when it is needed; 0s keeps them within a fixed size"`
	Queue      time.Duration `envconfig:"QUEUE" default:"10m" range:"0s..720h" desc:"age at which the finished jobs of the queue are removed, at least 1m; the history of the steps does not need them; 0s keeps them"`
}

// Validate returns an error for an age that is too short to be meant.
func (c Config) Validate() error {
	for _, each := range []struct {
		name         string
		age, minimum time.Duration
	}{
		{"BODIES", c.Bodies, time.Hour},
		{"EVENTS", c.Events, time.Hour},
		{"DEAD", c.Dead, time.Hour},
		{"IMAGES", c.Images, time.Hour},
		{"TOMBSTONES", c.Tombstones, 24 * time.Hour},
		{"REJECTIONS", c.Rejections, time.Hour},
		{"THUMBNAILS", c.Thumbnails, time.Hour},
		{"QUEUE", c.Queue, time.Minute},
	} {
		if each.age > 0 && each.age < each.minimum {
			return &configtypes.Conflict{Name: each.name, Text: "must be 0s, or at least " + each.minimum.String()}
		}
	}
	if c.Images > 0 && c.Events > 0 && c.Events < c.Images {
		return &configtypes.Conflict{Name: "EVENTS", Text: "must be 0s, or at least RETENTION_IMAGES"}
	}
	return nil
}

const (
	// interval is the pause when nothing is left to remove.
	interval = time.Minute
	// A batch is followed by a pause of at least minPause, and of pauseShare times what it took.
	minPause   = 50 * time.Millisecond
	pauseShare = 4
	// passTimeout bounds a pass, which is one batch of each kind; lease is longer.
	passTimeout = time.Minute
	lease       = 2 * time.Minute
)

// Inbox is where the bodies and the rejections are.
type Inbox interface { //nolint:interfacebloat // one store
	Purge(ctx context.Context, events []inbox.Identity) error
	Remove(ctx context.Context, events []inbox.Identity, at time.Time) error
	Tombstones(ctx context.Context, before time.Time, limit int) ([]int64, error)
	DeleteTombstones(ctx context.Context, sequences []int64) error
	OldRejections(ctx context.Context, before time.Time, limit int) ([]int64, error)
	DeleteRejections(ctx context.Context, ids []int64) error
	OfJob(ctx context.Context, job string) ([]inbox.Stored, error)
	RejectionsOf(ctx context.Context, job string) ([]int64, error)
	file
}

// file is a database that returns free space to the file system.
type file interface {
	Surplus(ctx context.Context) (pages int, err error)
	Shrink(ctx context.Context, pages int) error
}

// Thumbnails are cached by this process alone.
type Thumbnails interface {
	RemoveUnused(since time.Time, limit int) int
	Remove(sum string)
}

// Deps is what a Retention works with.
type Deps struct {
	Store      *Store
	Inbox      Inbox
	Thumbnails Thumbnails // nil if there are none
	// DeleteFile deletes a stored file, of which nothing has to be there.
	DeleteFile func(ctx context.Context, artifact event.Artifact) error
	Log        zerolog.Logger
}

// Retention removes what is old from Start until Stop.
type Retention struct {
	*background.Service

	deps    Deps
	rules   []*rule
	local   []*rule // of this process, without the lease
	metrics metrics
}

// New returns a Retention that is not started.
func New(config Config, deps Deps) *Retention {
	r := &Retention{deps: deps, metrics: newMetrics()}
	images := config.Images > 0
	bodies, files := &sweep{what: bodiesOnly, state: event.Done}, &sweep{what: filesOnly, state: event.Done}
	events, dead := &sweep{what: whole, state: event.Done, images: images}, &sweep{what: whole, state: event.Dead, images: images}
	r.rules = enabled(
		&rule{kind: kindBodies, age: config.Bodies, remove: r.sweepWith(bodies)},
		&rule{kind: kindImages, age: config.Images, remove: r.sweepWith(files)},
		&rule{kind: kindEvents, age: config.Events, remove: r.sweepWith(events)},
		&rule{kind: kindDead, age: config.Dead, remove: r.sweepWith(dead)},
		&rule{kind: kindRejections, age: config.Rejections, remove: r.removeRejections},
		&rule{kind: kindTombstones, age: config.Tombstones, remove: r.removeTombstones},
		&rule{kind: kindJobs, age: config.Tombstones, remove: deps.Store.removeJobs},
	)
	if deps.Thumbnails != nil {
		r.local = enabled(&rule{kind: kindThumbnails, age: config.Thumbnails, remove: r.removeThumbnails})
	}
	r.Service = background.New("retention", background.Loop{
		Pass:   r.pass,
		Failed: func(err error) { deps.Log.Error().Err(err).Msg("removing what is old failed, will retry") },
	})
	return r
}

// pass removes one batch of each kind, and returns the pause until the next one.
func (r *Retention) pass(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	begun := time.Now()
	more, err := r.apply(ctx, r.local)
	held, failure := r.deps.Store.acquire(ctx, lease)
	err = errors.Join(err, failure)
	if held {
		further, failure := r.apply(ctx, r.rules)
		err = errors.Join(err, failure, r.continueErasures(ctx))
		files, failure := r.removeFiles(ctx)
		more, err = more || further || files, errors.Join(err, failure)
	}
	for _, f := range []file{r.deps.Inbox, r.deps.Store} {
		further, failure := shrink(ctx, f)
		more = more || further
		err = errors.Join(err, failure)
	}
	if err != nil || !more {
		return background.Jitter(interval), err
	}
	return max(minPause, pauseShare*time.Since(begun)), nil
}

// apply removes one batch by each rule. It reports whether there may be more. A rule that fails does not stop the others.
func (r *Retention) apply(ctx context.Context, rules []*rule) (more bool, err error) {
	for _, rule := range rules {
		n, further, failure := rule.remove(ctx, r.deps.Store.now().Add(-rule.age))
		r.metrics.count(rule.kind, n)
		more = more || further
		err = errors.Join(err, failure)
	}
	return more, err
}
