package queue

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivertype"
)

// localDriver is River's driver for SQLite with two changes. Notices stay in this process: River's own listener reads a table of them
// every 50 ms. Completed jobs share one statement: River's own driver runs one for each job. What River records of jobs is not synced:
// a job whose fetch or end a crash of the machine loses runs again, and its step knows how far it is.
type localDriver struct {
	*riversqlite.Driver

	notices *notices
	slots   map[string]*slots
}

// GetExecutor returns what runs statements outside of a given transaction.
func (d *localDriver) GetExecutor() riverdriver.Executor {
	return &localExecutor{d.Driver.GetExecutor(), d.notices, d.slots}
}

// GetListener returns what waits for notices.
func (d *localDriver) GetListener(params *riverdriver.GetListenenerParams) riverdriver.Listener {
	return &localListener{notices: d.notices, schema: params.Schema, topics: map[string]struct{}{}}
}

// UnwrapExecutor returns what runs statements in a transaction.
func (d *localDriver) UnwrapExecutor(tx *sql.Tx) riverdriver.ExecutorTx {
	return &localTx{d.Driver.UnwrapExecutor(tx), d.notices}
}

// UnwrapTx returns the transaction of an executor.
func (d *localDriver) UnwrapTx(executor riverdriver.ExecutorTx) *sql.Tx {
	if local, ok := executor.(*localTx); ok {
		executor = local.ExecutorTx
	}
	return d.Driver.UnwrapTx(executor)
}

// localExecutor runs statements outside of a given transaction.
type localExecutor struct {
	riverdriver.Executor

	notices *notices
	slots   map[string]*slots
}

// JobGetAvailable fetches jobs. It waits while enough fetched ones wait for slots.
func (e *localExecutor) JobGetAvailable(
	ctx context.Context, params *riverdriver.JobGetAvailableParams,
) (*riverdriver.JobGetAvailableResult, error) {
	if limit := e.slots[params.Queue]; limit != nil {
		limit.awaitFew()
	}
	return e.Executor.JobGetAvailable(database.WithoutSync(ctx), params)
}

// Begin begins a transaction.
func (e *localExecutor) Begin(ctx context.Context) (riverdriver.ExecutorTx, error) {
	tx, err := e.Executor.Begin(ctx)
	if err != nil {
		return nil, err
	}
	return &localTx{tx, e.notices}, nil
}

// NotifyMany delivers notices at once.
func (e *localExecutor) NotifyMany(_ context.Context, params *riverdriver.NotifyManyParams) error {
	e.notices.mutex.Lock()
	defer e.notices.mutex.Unlock()
	e.notices.deliver(notifications(params)...)
	return nil
}

// JobSetStateIfRunningMany records how jobs ended. It returns the rows of those that have not simply been completed: River needs the
// rows for subscribers, and there are none. Repeating it changes nothing.
func (e *localExecutor) JobSetStateIfRunningMany(
	ctx context.Context, params *riverdriver.JobSetStateIfRunningManyParams,
) ([]*rivertype.JobRow, error) {
	completed, others := splitCompleted(params)
	if len(completed) > 0 {
		ids, err := json.Marshal(completed)
		if err != nil {
			return nil, err
		}
		err = e.Exec(database.WithoutSync(ctx), `UPDATE river_job SET state = 'completed', finalized_at = datetime('now', 'subsec')
			WHERE id IN (SELECT value FROM json_each(?1)) AND state = 'running'`, string(ids))
		if err != nil {
			return nil, fmt.Errorf("complete jobs: %w", err)
		}
	}
	if len(others.ID) == 0 {
		return nil, nil
	}
	rows, err := e.Executor.JobSetStateIfRunningMany(ctx, others)
	for _, row := range rows {
		if row.State == rivertype.JobStateAvailable { // it was snoozed shortly
			e.notices.expect(row.Queue, row.ScheduledAt)
		}
	}
	return rows, err
}

// splitCompleted returns the ids of the jobs that have been completed and of which nothing else is recorded, and what is
// recorded of the other ones.
func splitCompleted(params *riverdriver.JobSetStateIfRunningManyParams) (completed []int64, others *riverdriver.JobSetStateIfRunningManyParams) {
	others = &riverdriver.JobSetStateIfRunningManyParams{Now: params.Now, Schema: params.Schema}
	for i, id := range params.ID {
		if params.State[i] == rivertype.JobStateCompleted && params.Attempt[i] == nil && params.ErrData[i] == nil &&
			params.ScheduledAt[i] == nil && !params.MetadataDoMerge[i] {
			completed = append(completed, id)
			continue
		}
		others.ID = append(others.ID, id)
		others.Attempt = append(others.Attempt, params.Attempt[i])
		others.ErrData = append(others.ErrData, params.ErrData[i])
		others.FinalizedAt = append(others.FinalizedAt, params.FinalizedAt[i])
		others.MetadataDoMerge = append(others.MetadataDoMerge, params.MetadataDoMerge[i])
		others.MetadataUpdates = append(others.MetadataUpdates, params.MetadataUpdates[i])
		others.ScheduledAt = append(others.ScheduledAt, params.ScheduledAt[i])
		others.State = append(others.State, params.State[i])
	}
	return completed, others
}

// localTx runs statements in a transaction.
type localTx struct {
	riverdriver.ExecutorTx

	notices *notices
}

// Begin begins a transaction within the transaction.
func (t *localTx) Begin(ctx context.Context) (riverdriver.ExecutorTx, error) {
	inner, err := t.ExecutorTx.Begin(ctx)
	if err != nil {
		return nil, err
	}
	return &localTx{inner, t.notices}, nil
}

// NotifyMany delivers notices when the transaction is committed.
func (t *localTx) NotifyMany(_ context.Context, params *riverdriver.NotifyManyParams) error {
	for _, notice := range notifications(params) {
		t.notices.add(notice)
	}
	return nil
}

func notifications(params *riverdriver.NotifyManyParams) []riverdriver.Notification {
	list := make([]riverdriver.Notification, len(params.Payload))
	for i, payload := range params.Payload {
		list[i] = riverdriver.Notification{Topic: params.Topic, Payload: payload}
	}
	return list
}

// localListener waits for the notices of some topics. It is always connected.
type localListener struct {
	notices *notices
	schema  string

	mutex  sync.Mutex
	topics map[string]struct{}
}

// Close ends listening to all topics.
func (l *localListener) Close(context.Context) error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	clear(l.topics)
	return nil
}

// Connect does nothing.
func (*localListener) Connect(context.Context) error { return nil }

// Listen adds a topic.
func (l *localListener) Listen(_ context.Context, topic string) error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.topics[topic] = struct{}{}
	return nil
}

// Unlisten removes a topic.
func (l *localListener) Unlisten(_ context.Context, topic string) error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	delete(l.topics, topic)
	return nil
}

// Ping does nothing.
func (*localListener) Ping(context.Context) error { return nil }

// Schema returns the schema of the tables.
func (l *localListener) Schema() string { return l.schema }

// SetAfterConnectExec does nothing.
func (*localListener) SetAfterConnectExec(string) {}

// WaitForNotification returns the next notice of a topic that was added.
func (l *localListener) WaitForNotification(ctx context.Context) (*riverdriver.Notification, error) {
	for {
		notice, err := l.notices.wait(ctx)
		if err != nil {
			return nil, err
		}
		if l.listensTo(notice.Topic) {
			return &notice, nil
		}
	}
}

func (l *localListener) listensTo(topic string) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	_, ok := l.topics[topic]
	return ok
}
