// Package app builds the components, starts them in order and stops them in reverse.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/executor"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/filesystem"
	"github.com/deepimage-receiver/receiver/internal/httpserver"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/memory"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/reconcile"
	"github.com/deepimage-receiver/receiver/internal/relay"
	"github.com/deepimage-receiver/receiver/internal/replay"
	"github.com/deepimage-receiver/receiver/internal/retention"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/deepimage-receiver/receiver/internal/submit"
	"github.com/deepimage-receiver/receiver/internal/telemetry"
	"github.com/deepimage-receiver/receiver/internal/verification"
	"github.com/deepimage-receiver/receiver/internal/webhook"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
)

// closeMargin is the part of the time to stop that is reserved for closing the stores.
const closeMargin = time.Second

// adminStopTimeout is how long requests of the admin listener may take when it stops.
const adminStopTimeout = 500 * time.Millisecond

// App is a receiver: New opens its stores, Start starts its listeners.
type App struct {
	config     config.Config
	log        zerolog.Logger
	disk       *disk
	folder     *dataFolder // nil with Postgres
	memory     *memory.Budget
	inbox      *inbox.Inbox
	work       *WorkStores
	queue      *queue.Queue
	fetch      *fetch.Client
	vendor     *deepimage.Client      // nil without a key
	verify     *verification.Verify   // nil without verification
	keyWatch   *verification.KeyWatch // nil without a key
	clock      *timekeeper
	unverified *unverified // nil without verification
	submitter  *submit.Submitter
	reconciler *reconcile.Reconciler // nil without a key
	renewals   *renewals
	executor   *executor.Executor
	relay      *relay.Relay
	replayer   *replay.Replayer
	retention  *retention.Retention
	artifacts  artifactStores
	tokens     secret.List // of callbacks
	server     *httpserver.Server
	address    net.Addr
	stores     *stores
	cleanups   cleanups

	adminServer  *httpserver.Server
	measurer     *admin.Measurer         // for metrics
	databases    map[string]*database.DB // by the name of the store
	adminAddress net.Addr
	done         chan struct{} // closed when one of the listeners has stopped, or the data folder is lost
	lost         chan error    // receives why the data folder is lost
	failed       error         // what lost received; valid when done is closed

	imageFolders []string               // of buckets that are folders
	circuits     map[string]func() bool // by step: whether its circuit is open
}

// New opens and migrates the stores and builds the components. Nothing runs before Start; Stop releases everything.
func New(ctx context.Context, c config.Config, log zerolog.Logger) (*App, error) {
	a := &App{config: c, log: log, artifacts: artifactStores{}, circuits: map[string]func() bool{}, done: make(chan struct{}), lost: make(chan error, 1)}
	a.useMemory(memory.ReadLimit())
	for _, build := range []func(context.Context) error{a.buildVendor, a.buildStores, a.buildWork, a.buildPublic, a.buildAdmin} {
		if err := build(ctx); err != nil {
			return nil, errors.Join(err, a.cleanups.run(ctx))
		}
	}
	return a, nil
}

func (a *App) buildStores(ctx context.Context) error {
	stores, err := openStores(ctx, a.config)
	if err != nil {
		return err
	}
	a.cleanups.add("stores", stores.close)
	a.stores = stores
	a.folder = stores.folder
	if err := a.watchDisk(); err != nil {
		return err
	}
	for _, store := range stores.versions {
		a.log.Debug().Str("store", store.Store).Int64("version", store.Version).Msg("schema is up to date")
	}
	if n := stores.match.Requeued; n > 0 {
		a.log.Warn().Int64("events", n).Msg("work store lacked events, restored from the inbox")
	}
	if n := stores.match.Bodiless; n > 0 {
		a.log.Error().Int64("events", n).Msg("inbox lacks bodies of events, restore it from a backup")
	}
	for _, path := range stores.fixed {
		a.log.Warn().Str("file", path).Str("advice", `stop the receiver and run "receiver migrate --compact"`).Msg("database file does not shrink")
	}
	return a.useStores(ctx, stores)
}

// useStores makes the inbox, the queue and the work stores.
func (a *App) useStores(ctx context.Context, stores *stores) (err error) {
	a.inbox, err = inbox.Open(ctx, stores.inbox, a.config.Inbox)
	if err != nil {
		return err
	}
	a.cleanups.addClose("inbox", a.inbox.Close)
	jobs := a.config.Queue
	jobs.Finished = a.config.Retention.Queue
	a.queue, err = queue.Open(stores.queue, jobs, a.queues(), telemetry.NewSlog(a.log, slog.LevelWarn))
	if err != nil {
		return err
	}
	a.work = newWorkStores(stores.work, a.queue)
	a.databases = stores.byName()
	a.clock = newTimekeeper(a, stores.work)
	a.cleanups.addClose("work store", a.work.Close)
	return nil
}

// watchDisk checks the disks with files of this process.
func (a *App) watchDisk() error {
	if err := filesystem.MakeFolder(a.config.DataDir, 0o750); err != nil {
		return fmt.Errorf("app: data folder: %w", filesystem.Explain(a.config.DataDir, err))
	}
	paths := []string{a.config.DataDir}
	if !a.config.Database.IsPostgres() && a.config.DatabaseFolder() != a.config.DataDir {
		paths = append(paths, a.config.DatabaseFolder())
	}
	for _, path := range paths {
		err := filesystem.SyncFolder(path)
		if errors.Is(err, filesystem.ErrNoFolderSync) {
			a.log.Warn().Err(err).Str("folder", path).Msg("folder sync not supported, a crash can lose names of files")
		} else if err != nil {
			return fmt.Errorf("app: data folder: %w", filesystem.Explain(path, err))
		}
	}
	a.disk = &disk{begun: time.Now().Add(-diskCheckInterval), paths: paths, minFree: uint64(a.config.MinFreeBytes)}
	return nil
}

func (a *App) buildPublic(context.Context) error {
	tokens, err := a.config.Tokens()
	if err != nil {
		return fmt.Errorf("app: %w", err)
	}
	a.tokens = tokens.List
	deps := webhook.Deps{
		Inbox: a.inbox, Tokens: tokens.List, JobTokens: a.submitter, Memory: a.memory, Ready: a.ready,
	}
	if a.verify != nil {
		a.unverified = newUnverified(a.config, a.countUnverified, func(err error) {
			a.log.Error().Err(err).Msg("counting unverified bytes failed, will retry")
		})
		deps.Unverified = a.unverified
	}
	endpoint, err := webhook.New(a.config.Webhook, deps)
	if err != nil {
		return err
	}
	checks := []httpserver.Check{
		{Name: "store", Run: a.inbox.Probe},
		{Name: "disk", Run: func(context.Context) error { return a.disk.check() }},
	}
	for _, folder := range a.imageFolders { // callbacks are accepted without it
		checks = append(checks, httpserver.Check{Name: "images", Run: newFolderCheck(folder, uint64(a.config.MinFreeBytes)).run, Optional: true})
	}
	a.server, err = httpserver.New(a.config.HTTP, httpserver.Deps{Log: a.log, Webhook: endpoint, Checks: checks})
	return err
}

// ready returns why callbacks cannot be accepted now, or nil.
func (a *App) ready() error {
	if err := a.disk.check(); err != nil {
		return a.disk.unavailable(err)
	}
	return nil
}

// Start resumes the work of an earlier process and starts the listeners.
func (a *App) Start(ctx context.Context) error {
	if err := a.startAdmin(ctx); err != nil {
		return err
	}
	reclaimed, err := a.queue.Reclaim(ctx)
	if err != nil {
		return err
	}
	if err := a.arrangeSteps(ctx); err != nil {
		return err
	}
	if err := a.reportUnattended(ctx); err != nil {
		return err
	}
	if err := a.clock.begin(ctx); err != nil {
		return err
	}
	a.clock.Start()
	a.cleanups.add("clock", a.clock.Stop)
	if err := a.queue.Start(ctx, a.executor.Run); err != nil {
		return err
	}
	a.keepLock()
	a.executor.Start()
	if a.keyWatch != nil {
		a.keyWatch.Start()
	}
	a.relay.Start()
	a.renewals.Start()
	a.cleanups.add("listeners and workers", a.stopWorking)
	if err := a.replayer.Start(ctx); err != nil {
		return err
	}
	a.cleanups.add("replayer", a.replayer.Stop)
	a.retention.Start()
	a.cleanups.add("retention", a.retention.Stop)
	if a.reconciler != nil {
		if err := a.reconciler.Start(ctx); err != nil {
			return err
		}
	}
	if err := a.startUnverified(ctx); err != nil {
		return err
	}
	if a.address, err = a.server.Start(ctx); err != nil {
		return err
	}
	go a.watchListeners()
	a.startCheck(a.stores.checkFiles)
	a.log.Info().Str("version", telemetry.CurrentBuild().Version).Stringer("address", a.address).Stringer("admin", a.adminAddress).
		Str("data", a.config.DataDir).Strs("handlers", a.stepNames()).
		Int64("backlog", a.inbox.Backlog()).Int64("reclaimed", reclaimed).Msg("receiver is ready")
	return nil
}

// startAdmin starts the admin listener first, so that it stops last: it shows how the receiver starts and stops.
func (a *App) startAdmin(ctx context.Context) (err error) {
	a.measurer.Start()
	a.cleanups.add("metrics", a.measurer.Stop)
	a.cleanups.add("admin listener", a.stopAdmin)
	a.adminAddress, err = a.adminServer.Start(ctx)
	return err
}

// stopAdmin waits only briefly for running requests.
func (a *App) stopAdmin(ctx context.Context) error {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), adminStopTimeout)
	defer cancel()
	if err := a.adminServer.Shutdown(limited); err != nil && limited.Err() == nil {
		return err
	}
	return nil // running downloads are cut off
}

// watchListeners ends when one of the listeners has stopped, or the data folder is lost.
func (a *App) watchListeners() {
	select {
	case <-a.server.Done():
	case <-a.adminServer.Done():
	case a.failed = <-a.lost:
	}
	close(a.done)
}

// lockInterval is how often the lock of the data folder is looked at.
const lockInterval = 5 * time.Second

// keepLock makes the lock file of the data folder again when it is removed. If another receiver has it by then, this one stops.
func (a *App) keepLock() {
	if a.folder == nil {
		return
	}
	service := background.New("app", background.Loop{
		Pass: background.Every(lockInterval, func(context.Context) error {
			err := a.folder.restoreLock()
			if errors.Is(err, ErrInUse) {
				select {
				case a.lost <- fmt.Errorf("app: data folder: %w", err):
				default: // it was lost before
				}
			}
			return err
		}),
		Failed: func(err error) { a.log.Error().Err(err).Msg("checking the lock of the data folder failed") },
	})
	service.Start()
	a.cleanups.add("lock check", service.Stop)
}

// Drain lets a receiver that is about to stop accept callbacks for the delay of the configuration, while /readyz answers 503: proxies
// learn that it stops before it refuses any. It returns earlier if a listener stops.
func (a *App) Drain() {
	if a.config.ShutdownDelay == 0 {
		return
	}
	a.server.Drain()
	a.log.Info().Stringer("delay", a.config.ShutdownDelay).Msg("receiver draining, not ready any more")
	select {
	case <-time.After(a.config.ShutdownDelay):
	case <-a.done:
	}
}

// stopWorking stops the public listener and the workers at the same time. What still runs shortly before the deadline is cut off.
func (a *App) stopWorking(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok {
		limited, cancel := context.WithDeadline(ctx, deadline.Add(-min(closeMargin, time.Until(deadline)/4)))
		defer cancel()
		ctx = limited
	}
	var group errgroup.Group
	group.Go(func() error { return a.server.Shutdown(ctx) })
	group.Go(func() error { return a.relay.Stop(ctx) })
	group.Go(func() error { return a.renewals.Stop(ctx) })
	group.Go(func() error { return a.executor.Stop(ctx) })
	group.Go(func() error { return a.queue.Stop(ctx) })
	group.Go(func() error { return a.submitter.Stop(ctx) })
	if a.reconciler != nil {
		group.Go(func() error { return a.reconciler.Stop(ctx) })
	}
	if a.keyWatch != nil {
		group.Go(func() error { return a.keyWatch.Stop(ctx) })
	}
	return group.Wait()
}

// Stop stops everything in the reverse order of Start. What still runs at the deadline of ctx is cut off and resumes at the next start.
func (a *App) Stop(ctx context.Context) error {
	err := a.cleanups.run(ctx)
	if err != nil {
		return fmt.Errorf("app: %w", err)
	}
	a.log.Info().Msg("receiver stopped")
	return nil
}

// Addr is the address of the public listener, from Start on.
func (a *App) Addr() net.Addr { return a.address }

// AdminAddr is the address of the admin listener, from Start on.
func (a *App) AdminAddr() net.Addr { return a.adminAddress }

// Done is closed when one of the listeners has stopped, by Stop or by a failure, or the data folder is lost.
func (a *App) Done() <-chan struct{} { return a.done }

// Err returns, once Done is closed, why a listener failed or the data folder is lost; nil after Stop.
func (a *App) Err() error {
	failures := []error{a.failed}
	for _, server := range []*httpserver.Server{a.server, a.adminServer} {
		select {
		case <-server.Done():
			failures = append(failures, server.Err())
		default: // still listening
		}
	}
	return errors.Join(failures...)
}

// Stores returns the stores of the work database.
func (a *App) Stores() *WorkStores { return a.work }

// Migrate brings the schemas of all stores up to date and says their versions. Embedded, it
// needs the data folder for itself, like a running receiver.
func Migrate(ctx context.Context, c config.Config, compact bool) ([]Migration, error) {
	if compact {
		if err := compactFiles(ctx, c); err != nil {
			return nil, err
		}
	}
	stores, err := openStores(ctx, c)
	if err != nil {
		return nil, err
	}
	return stores.versions, stores.close(ctx)
}
