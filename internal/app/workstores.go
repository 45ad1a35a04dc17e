package app

import (
	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/deepimage-receiver/receiver/internal/replay"
	"github.com/deepimage-receiver/receiver/internal/retention"
	"github.com/deepimage-receiver/receiver/internal/workflow"
)

// WorkStores are the stores of the work database. They share one writer, so that their transactions share syncs.
type WorkStores struct {
	Workflow    *workflow.Store
	History     *history.Store
	Jobs        *jobs.Store
	BulkReplays *replay.Store
	sessions    *admin.SessionStore
	retention   *retention.Store
	writer      *database.Writer
}

// newWorkStores makes the stores of a migrated database. queue may be nil where no step becomes pending.
func newWorkStores(db *database.DB, queue workflow.Queue) *WorkStores {
	writer := database.NewWriter(db)
	tracked := jobs.New(writer)
	return &WorkStores{
		Workflow: workflow.New(writer, queue, tracked.OnAdd), History: history.New(writer), Jobs: tracked,
		BulkReplays: replay.NewStore(writer), sessions: admin.NewSessionStore(writer),
		retention: retention.NewStore(writer), writer: writer,
	}
}

// Close commits what is queued. It leaves the database open.
func (s *WorkStores) Close() error { return s.writer.Close() }
