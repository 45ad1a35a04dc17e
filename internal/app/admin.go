package app

import (
	"context"
	"net"
	"path/filepath"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/httpserver"
	"github.com/deepimage-receiver/receiver/internal/replay"
	"github.com/deepimage-receiver/receiver/internal/retention"
	"github.com/deepimage-receiver/receiver/internal/thumbnail"
)

// buildAdmin makes the admin listener.
func (a *App) buildAdmin(context.Context) error {
	thumbnails, err := thumbnail.New(filepath.Join(a.config.DataDir, thumbnailsName))
	if err != nil {
		return err
	}
	a.cleanups.addClose("thumbnails", thumbnails.Close)
	a.useRetention(thumbnails)
	registry, err := a.registry()
	if err != nil {
		return err
	}
	deps := a.adminDeps()
	deps.Memory = a.memory.Work
	deps.Thumbnails, deps.Metrics = thumbnails, metricsHandler(registry)
	deps.Setup.WebhookToken = a.tokens[0]
	listener, err := a.openAdmin(deps)
	if err != nil {
		return err
	}
	a.measurer = listener.NewMeasurer(admin.Measures{
		Databases: a.databaseUsage, Queue: a.queueDepths,
		Failed: func(err error) { a.log.Error().Err(err).Msg("measuring for metrics failed, will retry") },
	})
	return registerAll(registry, append(a.adminServer.Collectors(), listener.Collector(a.measurer)))
}

// databaseUsage measures the databases, by the name of the store.
func (a *App) databaseUsage(ctx context.Context) (map[string]database.Usage, error) {
	usage := map[string]database.Usage{}
	for store, db := range a.databases {
		used, err := db.Usage(ctx)
		if err != nil {
			return nil, err
		}
		usage[store] = used
	}
	return usage, nil
}

// queueDepths counts the jobs of the queue.
func (a *App) queueDepths(ctx context.Context) (map[string]admin.QueueDepth, error) {
	depths, err := a.queue.Depths(ctx)
	if err != nil {
		return nil, err
	}
	converted := make(map[string]admin.QueueDepth, len(depths))
	for handler, depth := range depths {
		converted[handler] = admin.QueueDepth(depth)
	}
	return converted, nil
}

// useRetention makes what removes old and erased data. thumbnails is nil in offline mode.
func (a *App) useRetention(thumbnails retention.Thumbnails) {
	a.retention = retention.New(a.config.Retention, retention.Deps{
		Store: a.work.retention, Inbox: a.inbox, Thumbnails: thumbnails, DeleteFile: a.artifacts.Delete, Log: a.log,
	})
}

// adminDeps are what the admin listener shows and changes, also in offline mode.
func (a *App) adminDeps() admin.Deps {
	a.replayer = replay.New(replay.Deps{
		BulkReplays: a.work.BulkReplays, Events: a.work.History, Workflow: a.work.Workflow, Handlers: a.stepNames(), Log: a.log,
	})
	return admin.Deps{
		Log: a.log, Inbox: a.inbox, Workflow: a.work.Workflow, History: a.work.History, Jobs: a.work.Jobs, BulkReplays: a.work.BulkReplays,
		Sessions: a.work.sessions, Replayer: a.replayer, Reconciler: a.reconciler, Submitter: a.submitter, OpenArtifact: a.artifacts.Open,
		Erase:    a.retention.Erase,
		Handlers: a.stepNames(), Disks: a.disk.usage, Warnings: a.warnings,
		Setup: admin.Setup{
			Settings: a.settings(), PublicURL: a.config.PublicURL, MaxSubmission: a.maxSubmission(), PublicAddr: func() net.Addr { return a.address },
		},
	}
}

// openAdmin makes the listener, which serves from Start on.
func (a *App) openAdmin(deps admin.Deps) (*admin.Admin, error) {
	listener, err := admin.New(a.config.Admin, deps)
	if err != nil {
		return nil, err
	}
	a.adminServer, err = httpserver.NewAdmin(a.config.HTTP, a.config.Admin.Addr, httpserver.AdminDeps{Log: a.log, Mount: listener.Mount, End: listener.End})
	return listener, err
}

// settings are the variables of the configuration.
func (a *App) settings() []admin.Setting {
	var list []admin.Setting
	for _, v := range a.config.Variables {
		list = append(list, admin.Setting{
			Name: v.Name, Value: v.Value, Source: string(v.Source), Meaning: v.Meaning, Default: v.Default, Range: v.Range,
		})
	}
	return list
}

// maxSubmission bounds a request to the vendor, in bytes: its echo must fit into a callback, also if the vendor escapes
// the slashes of base64.
func (a *App) maxSubmission() int {
	const rest = 4 << 10 // of the callback
	return min(deepimage.MaxRequestBytes, int(a.config.Webhook.MaxBodyBytes)*19/20) - rest
}
