package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/executor"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/relay"
	"github.com/rs/zerolog"
)

// queues are the queues of all steps.
func (a *App) queues() []queue.HandlerQueue {
	var queues []queue.HandlerQueue
	for _, stage := range a.plan() {
		for _, step := range stage {
			queues = append(queues, queue.HandlerQueue{Handler: step.Name, Concurrency: step.Limits.Concurrency})
		}
	}
	return queues
}

// plan are the stages of an event: the steps of a handler run in the stage after those of the handlers that it needs.
func (a *App) plan() (stages [][]handler.Step) {
	for _, step := range a.before() {
		stages = append(stages, []handler.Step{{Name: step.Name, Limits: step.Limits}})
	}
	first, stageOf := len(stages), map[string]int{}
	for _, h := range a.config.Handlers {
		stage := first
		for _, name := range h.Needs() {
			if needed, ok := stageOf[name]; ok {
				stage = max(stage, needed+1)
			}
		}
		stageOf[h.Definition.Name] = stage
		if stage == len(stages) {
			stages = append(stages, nil)
		}
		stages[stage] = append(stages[stage], h.Steps()...)
	}
	for _, step := range a.after() {
		stages = append(stages, []handler.Step{{Name: step.Name, Limits: step.Limits}})
	}
	return stages
}

// stages are the names of the steps in plan.
func (a *App) stages() [][]string {
	var stages [][]string
	for _, stage := range a.plan() {
		var names []string
		for _, step := range stage {
			names = append(names, step.Name)
		}
		stages = append(stages, names)
	}
	return stages
}

// arrangeSteps lets unfinished events of an earlier configuration or version wait for no more than their handlers need.
func (a *App) arrangeSteps(ctx context.Context) error {
	for _, h := range a.config.Handlers {
		needs := h.Needs()
		if len(needs) == 0 {
			continue
		}
		for _, step := range h.Steps() {
			events, err := a.work.Workflow.Arrange(ctx, step.Name, needs)
			if err != nil {
				return err
			}
			if events > 0 {
				a.log.Info().Str("handler", step.Name).Int("events", events).Msg("waiting steps moved to an earlier stage")
			}
		}
	}
	return nil
}

// reportUnattended logs how many steps wait for handlers that are not configured. It is a warning unless all are kept.
func (a *App) reportUnattended(ctx context.Context) error {
	if err := a.work.Workflow.Configure(ctx, a.stepNames()); err != nil {
		return err
	}
	unattended, err := a.work.Workflow.Unattended(ctx, a.stepNames())
	if err != nil || len(unattended) == 0 {
		return err
	}
	kept, err := a.work.Workflow.Kept(ctx)
	if err != nil {
		return err
	}
	level, total := zerolog.InfoLevel, 0
	for name, steps := range unattended {
		total += steps
		if _, ok := kept[name]; !ok {
			level = zerolog.WarnLevel
		}
	}
	a.log.WithLevel(level).Int("steps", total).Interface("handlers", unattended).
		Str("advice", `configure them again, or run "receiver targets drop NAME" or "receiver targets keep NAME"`).
		Msg("steps wait for handlers that are not configured")
	return nil
}

func (a *App) stepNames() []string { return slices.Concat(a.stages()...) }

func (a *App) buildWork(ctx context.Context) error {
	client, err := fetch.New(a.config.Fetch)
	if err != nil {
		return err
	}
	a.cleanups.addClose("fetch client", client.Close)
	a.fetch = client
	steps := slices.Concat(a.before(), a.after())
	for _, h := range a.config.Handlers {
		for _, step := range h.Steps() {
			made, err := a.buildHandler(ctx, h, step, client)
			if err != nil {
				return err
			}
			steps = append(steps, executor.Step{Name: step.Name, Handler: made, Limits: step.Limits})
		}
	}
	a.executor = executor.New(a.config.Retry, a.work.Workflow, a.inbox, a.memory.Work, steps, a.log)
	a.relay = relay.New(relay.Config{
		Inbox: a.inbox, Workflow: a.work.Workflow, OneDatabase: a.config.Database.IsPostgres(), Stages: a.stages(), Log: a.log,
	})
	a.renewals = newRenewals(a)
	a.buildReconciler()
	a.buildSubmitter()
	return nil
}

// buildHandler makes the handler of a step. Other handlers can open its artifacts.
func (a *App) buildHandler(ctx context.Context, h config.Handler, step handler.Step, client *fetch.Client) (handler.Handler, error) {
	made, err := h.Definition.New(ctx, h.Config, handler.Deps{
		Step:             step.Name,
		Fetch:            client,
		Log:              a.log.With().Str("handler", step.Name).Logger(),
		Artifacts:        a.artifacts,
		Refresh:          a.refresh(),
		DefaultBucketURL: a.config.ImagesURL(),
		SpoolFolder:      a.config.SpoolFolder(),
		Redact:           event.Redact,
	})
	if err != nil {
		return nil, err
	}
	a.cleanups.addClose("handler "+step.Name, func() error { return handler.Close(made) })
	if artifacts, ok := made.(handler.Artifacts); ok {
		a.artifacts[step.Name] = artifacts
		err = a.checkBucket(ctx, step.Name, made)
	}
	if breaker, ok := made.(interface{ CircuitOpen() bool }); ok {
		a.circuits[step.Name] = breaker.CircuitOpen
	}
	if keeper, ok := made.(interface{ Folder() string }); ok && keeper.Folder() != "" {
		a.imageFolders = append(a.imageFolders, keeper.Folder())
	}
	return made, err
}

// bucketCheckTimeout is how long a start waits for the service of a bucket.
const bucketCheckTimeout = 5 * time.Second

// checkBucket refuses a bucket in which objects overwrite each other. Anything else may pass, and so is only a warning: callbacks are
// accepted meanwhile, and the handler checks again before it stores the first image.
func (a *App) checkBucket(ctx context.Context, step string, made handler.Handler) error {
	checker, ok := made.(interface {
		Check(ctx context.Context) error
	})
	if !ok {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, bucketCheckTimeout)
	defer cancel()
	err := checker.Check(limited)
	switch {
	case errors.Is(err, blobstore.ErrOverwrites):
		return fmt.Errorf("app: handler %s: %w", step, err)
	case err != nil:
		a.log.Warn().Err(err).Str("handler", step).Msg("bucket check failed, images wait until it passes")
	}
	return nil
}

// artifactStores open and delete stored files, by the name of the step that stored them.
type artifactStores map[string]handler.Artifacts

// Open opens a stored file.
func (s artifactStores) Open(ctx context.Context, artifact event.Artifact) (*blobstore.Object, error) {
	if found, ok := s[artifact.Handler]; ok {
		return found.Open(ctx, artifact)
	}
	return nil, blobstore.ErrNotFound
}

// Delete deletes a stored file. It returns blobstore.ErrNotFound if the handler that stored it is not enabled.
func (s artifactStores) Delete(ctx context.Context, artifact event.Artifact) error {
	if found, ok := s[artifact.Handler]; ok {
		return found.Delete(ctx, artifact)
	}
	return blobstore.ErrNotFound
}

// Link returns a signed URL of a stored file.
func (s artifactStores) Link(ctx context.Context, artifact event.Artifact) (string, error) {
	if found, ok := s[artifact.Handler]; ok {
		return found.Link(ctx, artifact)
	}
	return "", blobstore.ErrNotFound
}
