// Package app wires the rooms of the house together, starts them in order and
// stops them in reverse.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/deepimage-receiver/receiver/internal/buildinfo"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/httpserver"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/ingress"
	"github.com/deepimage-receiver/receiver/internal/pipeline"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/relay"
	"github.com/deepimage-receiver/receiver/internal/telemetry"
	"github.com/deepimage-receiver/receiver/internal/work"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
)

// closeMargin is what is left of the time to stop for closing the stores.
const closeMargin = time.Second

// App is a receiver: New opens its stores, Start opens its doors.
type App struct {
	config   config.Config
	log      zerolog.Logger
	disk     *disk
	inbox    *inbox.Inbox
	work     *work.Store
	queue    *queue.Queue
	pipeline *pipeline.Pipeline
	relay    *relay.Relay
	server   *httpserver.Server
	address  net.Addr
	cleanups cleanups
}

// New opens and migrates the stores and makes everything that works on them.
// Nothing runs and nothing listens yet; Stop gives everything back.
func New(ctx context.Context, c config.Config, log zerolog.Logger) (*App, error) {
	a := &App{config: c, log: log}
	for _, build := range []func(context.Context) error{a.buildStores, a.buildWork, a.buildDoor} {
		if err := build(ctx); err != nil {
			return nil, errors.Join(err, a.cleanups.run(ctx))
		}
	}
	return a, nil
}

func (a *App) buildStores(ctx context.Context) error {
	folder, err := openDataFolder(a.config.DatabaseFolder())
	if err != nil {
		return err
	}
	a.cleanups.addClose("data folder", folder.close)
	a.disk = &disk{begun: time.Now().Add(-diskLookEvery), paths: []string{folder.path, a.config.DataDir}, minFree: uint64(a.config.MinFreeBytes)}
	stores, versions, err := openStores(ctx, folder)
	if err != nil {
		return err
	}
	a.cleanups.addClose("stores", stores.close)
	for _, store := range versions {
		a.log.Debug().Str("store", store.Store).Int64("version", store.Version).Msg("schema is up to date")
	}
	a.inbox, err = inbox.Open(ctx, stores.inbox, a.config.Inbox)
	if err != nil {
		return err
	}
	a.cleanups.addClose("inbox", a.inbox.Close)
	a.queue, err = queue.Open(stores.work, a.lanes(), telemetry.NewSlog(a.log, slog.LevelWarn))
	if err != nil {
		return err
	}
	a.work = work.Open(stores.work, a.queue)
	a.cleanups.addClose("work store", a.work.Close)
	return nil
}

func (a *App) lanes() []queue.Lane {
	lanes := make([]queue.Lane, len(a.config.Handlers))
	for i, h := range a.config.Handlers {
		lanes[i] = queue.Lane{Handler: h.Definition.Name, Concurrency: h.Config.Limits().Concurrency}
	}
	return lanes
}

func (a *App) buildWork(ctx context.Context) error {
	client, err := fetch.New(a.config.Fetch, fetch.WithUserAgent(buildinfo.UserAgent()))
	if err != nil {
		return err
	}
	a.cleanups.addClose("fetch client", client.Close)
	var steps []pipeline.Step
	var names []string
	for _, h := range a.config.Handlers {
		made, err := h.Definition.New(ctx, h.Config, handler.Deps{
			Fetch:            client,
			Log:              a.log.With().Str("handler", h.Definition.Name).Logger(),
			DefaultBucketURL: a.config.ImagesURL(),
			SpoolFolder:      a.config.SpoolFolder(),
			Redact:           event.Redact,
		})
		if err != nil {
			return err
		}
		a.cleanups.addClose("handler "+h.Definition.Name, func() error { return handler.Close(made) })
		steps = append(steps, pipeline.Step{Name: h.Definition.Name, Handler: made, Limits: h.Config.Limits()})
		names = append(names, h.Definition.Name)
	}
	a.pipeline = pipeline.New(a.config.Retry, a.work, a.inbox, steps, a.log)
	a.relay = relay.New(a.inbox, a.work, names, a.log)
	return nil
}

func (a *App) buildDoor(context.Context) error {
	tokens, err := a.config.Tokens()
	if err != nil {
		return fmt.Errorf("app: %w", err)
	}
	door, err := ingress.New(a.config.Webhook, ingress.Deps{Inbox: a.inbox, Tokens: tokens.List, Ready: a.ready})
	if err != nil {
		return err
	}
	a.server, err = httpserver.New(a.config.HTTP, httpserver.Deps{
		Log:     a.log,
		Webhook: door,
		Checks: []httpserver.Check{
			{Name: "store", Run: a.inbox.Probe},
			{Name: "disk", Run: func(context.Context) error { return a.disk.check() }},
		},
	})
	return err
}

// ready says why callbacks cannot be taken at the moment, or nil.
func (a *App) ready() error {
	if err := a.disk.check(); err != nil {
		return event.Unavailable("There is not enough room on the disk.", err)
	}
	return nil
}

// Start takes up the work that an earlier process left, and opens the door.
func (a *App) Start(ctx context.Context) error {
	reclaimed, err := a.queue.Reclaim(ctx)
	if err != nil {
		return err
	}
	unattended, err := a.work.Unattended(ctx, a.config.HandlerNames)
	if err != nil {
		return err
	}
	for name, steps := range unattended {
		a.log.Warn().Str("handler", name).Int("steps", steps).Msg("steps wait for a handler that is not configured")
	}
	if err := a.queue.Start(a.pipeline.Run); err != nil {
		return err
	}
	a.relay.Start()
	a.cleanups.add("doors and workers", a.stopWorking)
	if a.address, err = a.server.Start(ctx); err != nil {
		return err
	}
	a.log.Info().Str("version", buildinfo.Current().Version).Stringer("address", a.address).
		Str("data", a.config.DataDir).Strs("handlers", a.config.HandlerNames).
		Int64("backlog", a.inbox.Backlog()).Int64("taken_up", reclaimed).Msg("receiver is ready")
	return nil
}

// stopWorking closes the door and lets what is under way come to its end, both at
// the same time, until shortly before the deadline.
func (a *App) stopWorking(ctx context.Context) error {
	a.server.Drain()
	if deadline, ok := ctx.Deadline(); ok {
		limited, cancel := context.WithDeadline(ctx, deadline.Add(-min(closeMargin, time.Until(deadline)/4)))
		defer cancel()
		ctx = limited
	}
	var group errgroup.Group
	group.Go(func() error { return a.server.Shutdown(ctx) })
	group.Go(func() error { return a.relay.Stop(ctx) })
	group.Go(func() error { return a.queue.Stop(ctx) })
	return group.Wait()
}

// Stop ends everything in the reverse order of its start. What is not at its end
// when the context's deadline comes is cut off; it goes on at the next start.
func (a *App) Stop(ctx context.Context) error {
	err := a.cleanups.run(ctx)
	if err != nil {
		return fmt.Errorf("app: %w", err)
	}
	a.log.Info().Msg("receiver stopped")
	return nil
}

// Addr is where the public door listens, from Start on.
func (a *App) Addr() net.Addr { return a.address }

// Done is closed when the door no longer listens, whether it was told to or failed.
func (a *App) Done() <-chan struct{} { return a.server.Done() }

// Err says, once Done is closed, why the door failed; nil if it was told to stop.
func (a *App) Err() error { return a.server.Err() }

// History reads what became of the events.
func (a *App) History() *work.Store { return a.work }

// Migrate brings the schemas of all stores up to date and says their versions. It
// needs the data folder for itself, like a running receiver.
func Migrate(ctx context.Context, c config.Config) (done []Migration, err error) {
	folder, err := openDataFolder(c.DatabaseFolder())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, folder.close()) }()
	stores, done, err := openStores(ctx, folder)
	if err != nil {
		return nil, err
	}
	return done, stores.close()
}
