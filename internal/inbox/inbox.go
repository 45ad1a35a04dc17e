// Package inbox makes events durable. Accept is a group commit: requests that wait at the same moment share one transaction and
// one sync, and are answered after it. In SQLite the inbox has a database file of its own, in Postgres connections of its own, so
// that the processing of events cannot delay an answer.
package inbox

import (
	"context"
	"embed"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/groupcommit"
)

//go:embed migrations
var migrations embed.FS

// Config bounds the inbox.
type Config struct {
	MaxBacklog         int64            `envconfig:"MAX_BACKLOG" default:"1000000" range:"1..1000000000" desc:"maximum number of accepted events that wait to be processed; beyond it callbacks get 503"`
	MaxBatch           int              `envconfig:"MAX_BATCH" default:"512" range:"1..4096" desc:"maximum number of callbacks in one transaction"`
	MaxRejections      int              `envconfig:"MAX_REJECTIONS" default:"1000" range:"1..1000000" desc:"maximum number of rejected callbacks that are kept; the oldest are deleted first"`
	MaxRejectionsBytes configtypes.Size `envconfig:"MAX_REJECTIONS_BYTES" default:"64MiB" range:"1MiB..64GiB" desc:"maximum bytes of rejected callbacks that are kept"`
}

const (
	// commitTimeout is the longest wait for a commit. An event that is committed later is a duplicate when the sender retries.
	commitTimeout = 15 * time.Second
	// maxBatchBytes bounds one transaction beside the number of its entries.
	maxBatchBytes = 8 << 20
)

// Inbox is the durable store of raw events. It is safe for use by many goroutines.
type Inbox struct {
	config    Config
	database  *database.DB
	writer    writer
	committer *groupcommit.Committer[*entry]
	backlog   *backlog
	metrics   *metrics
	failure   atomic.Pointer[failure] // of the latest commit of an event; nil if it succeeded
	renewals  chan struct{}           // see RenewalsWaiting
}

// failure is a failed commit of an event.
type failure struct {
	at  time.Time
	err error
}

// failureMemory is how long a failed commit of an event makes the inbox unready, if none succeeds.
const failureMemory = 30 * time.Second

// writer commits entries in one transaction: all of them when write returns nil, none of them otherwise.
type writer interface {
	write(entries []*entry) error
	close() error
}

// Migrate brings the schema of the inbox up to date and returns its version.
func Migrate(ctx context.Context, db *database.DB) (int64, error) {
	return db.Migrate(ctx, migrations, "inbox")
}

// SchemaVersion is the version to which Migrate brings the schema of a kind of database.
func SchemaVersion(kind database.Kind) int64 { return database.NewestVersion(migrations, kind) }

// Open returns an inbox on a migrated database, which the caller closes after the inbox. Close stops the goroutines that it starts.
func Open(ctx context.Context, db *database.DB, config Config) (*Inbox, error) {
	backlog, err := openBacklog(ctx, db, config.MaxBacklog)
	if err != nil {
		return nil, err
	}
	inbox := &Inbox{config: config, database: db, backlog: backlog, metrics: newMetrics(), renewals: make(chan struct{}, 1)}
	limits := groupcommit.Limits{Entries: config.MaxBatch, Bytes: maxBatchBytes, Wait: commitTimeout, Writers: 1}
	if db.Kind == database.Postgres {
		inbox.writer, limits.Writers = &postgresWriter{database: db, config: config, backlog: backlog}, postgresWriters
	} else if inbox.writer, err = openSQLite(ctx, db.Writer, config, backlog.add); err != nil {
		backlog.close()
		return nil, err
	}
	inbox.committer = groupcommit.Start(limits, (*entry).size, inbox.metrics.measure(inbox.writer.write))
	return inbox, nil
}

// Close refuses new entries, commits those that wait, and stops.
func (i *Inbox) Close() error {
	i.committer.Stop()
	i.backlog.close()
	return i.writer.close()
}

// Accept stores an event and returns when it is committed and synced. The receipt holds the new ID of the event. If the same job
// with the same digest was stored before, it holds the ID of the first, and the signed URLs of the repeat are stored as a renewal; the
// names of the first stay. Once an event is queued for its commit, a cancelled
// context changes nothing. With MaxBacklog events waiting, Accept returns event.ErrBacklogFull.
func (i *Inbox) Accept(ctx context.Context, e event.Event) (event.Receipt, error) {
	if i.backlog.count() >= i.config.MaxBacklog {
		return event.Receipt{}, event.ErrBacklogFull
	}
	stored, err := newEventEntry(e)
	if err != nil {
		return event.Receipt{}, err
	}
	begun := time.Now()
	if err := i.commit(ctx, stored); err != nil {
		if ctx.Err() == nil {
			i.failure.Store(&failure{at: time.Now(), err: err})
		}
		return event.Receipt{}, err
	}
	i.failure.Store(nil)
	i.metrics.durations.Observe(time.Since(begun).Seconds())
	if stored.err != nil {
		return event.Receipt{}, fmt.Errorf("inbox: read event id: %w", stored.err)
	}
	if stored.receipt.Duplicate {
		if err := i.renew(ctx, stored.receipt.ID, e); err != nil {
			return event.Receipt{}, err
		}
	}
	return stored.receipt, nil
}

// Reject stores the body of a request that is not an event, within the bounds, and returns when that is committed.
func (i *Inbox) Reject(ctx context.Context, rejection event.Rejection) error {
	return i.commit(ctx, &entry{kind: storeRejection, rejection: rejection})
}

// Probe returns an error if the inbox cannot accept events. It commits a row, with its sync. That needs no space on the disk, so
// a failed commit of an event counts too, for failureMemory or until one succeeds.
func (i *Inbox) Probe(ctx context.Context) error {
	if last := i.failure.Load(); last != nil && time.Since(last.at) < failureMemory {
		return fmt.Errorf("inbox: the latest event could not be stored: %w", last.err)
	}
	return i.commit(ctx, &entry{kind: probe})
}

// Relayed removes events from the outbox by their sequence numbers, because they are in the work store. It returns when that is
// committed.
func (i *Inbox) Relayed(ctx context.Context, sequences []int64) error {
	return i.commit(ctx, &entry{kind: removeRelayed, sequences: sequences})
}

// Waiting returns a channel that receives a value when there may be events to relay.
func (i *Inbox) Waiting() <-chan struct{} { return i.backlog.waiting }

// Backlog returns the number of events that are accepted and not relayed yet. The changes of other replicas show after a second.
func (i *Inbox) Backlog() int64 { return i.backlog.count() }

func (i *Inbox) commit(ctx context.Context, e *entry) error {
	if err := i.committer.Commit(ctx, e); err != nil {
		return fmt.Errorf("inbox: commit: %w", err)
	}
	return nil
}
