// Package inbox is where an event becomes durable. Accept is a group commit:
// requests that wait at the same moment share one transaction and one sync, and
// are answered after it. In SQLite the inbox has a database file of its own, in
// Postgres connections of its own, so that nothing that goes on behind it can make
// an answer wait.
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
	MaxBacklog         int64            `envconfig:"MAX_BACKLOG" default:"1000000" range:"1..1000000000" desc:"accepted events that may wait to be worked on; beyond it callbacks get 503"`
	MaxBatch           int              `envconfig:"MAX_BATCH" default:"512" range:"1..4096" desc:"callbacks that may share one transaction and its sync"`
	MaxRejections      int              `envconfig:"MAX_REJECTIONS" default:"1000" range:"1..1000000" desc:"bodies kept of callbacks that were no events; the oldest go first"`
	MaxRejectionsBytes configtypes.Size `envconfig:"MAX_REJECTIONS_BYTES" default:"64MiB" range:"1MiB..64GiB" desc:"bytes kept of callbacks that were no events"`
}

const (
	// commitTimeout is how long anybody waits for a commit at most. What is committed later than
	// that is a duplicate when the sender tries again.
	commitTimeout = 15 * time.Second
	// maxBatchBytes bounds one transaction beside the number of its entries.
	maxBatchBytes = 8 << 20
)

// Inbox is the durable store of raw events. It is safe for use by many goroutines.
type Inbox struct {
	config    Config
	database  *database.DB
	writer    writer
	committer *groupcommit.Committer[entry]
	backlog   *backlog
	refused   atomic.Pointer[refusal] // the latest event that could not be committed; nil if one was since
}

// refusal is a failed commit of an event.
type refusal struct {
	at  time.Time
	err error
}

// refusalWeight is how long a failed commit of an event makes the inbox unready, if none succeeds.
const refusalWeight = 30 * time.Second

// writer settles batches of entries, each in one transaction: all of it is safe when write
// returns nil, and none of it counts otherwise.
type writer interface {
	write(batch []entry) error
	close() error
}

// Migrate brings the schema of the inbox up to date and returns its version.
func Migrate(ctx context.Context, db *database.DB) (int64, error) {
	return db.Migrate(ctx, migrations, "inbox")
}

// SchemaVersion is the version to which Migrate brings the schema of a kind of database.
func SchemaVersion(kind database.Kind) int64 { return database.NewestVersion(migrations, kind) }

// Open makes an inbox on a migrated database, which stays the caller's to close
// after the inbox. It starts the goroutines that write; Close stops them.
func Open(ctx context.Context, db *database.DB, config Config) (*Inbox, error) {
	backlog, err := openBacklog(ctx, db, config.MaxBacklog)
	if err != nil {
		return nil, err
	}
	inbox := &Inbox{config: config, database: db, backlog: backlog}
	limits := groupcommit.Limits{Entries: config.MaxBatch, Bytes: maxBatchBytes, Wait: commitTimeout, Writers: 1}
	if db.Kind == database.Postgres {
		inbox.writer, limits.Writers = openPostgres(db, config, backlog.add), postgresWriters
	} else if inbox.writer, err = openSQLite(ctx, db.Writer, config, backlog.add); err != nil {
		backlog.close()
		return nil, err
	}
	inbox.committer = groupcommit.Start(limits, entry.size, inbox.writer.write)
	return inbox, nil
}

// Close refuses what comes from now on, commits what waits already, and stops.
func (i *Inbox) Close() error {
	i.committer.Stop()
	i.backlog.close()
	return i.writer.close()
}

// Accept stores an event and returns when it is safe: committed and synced. It
// gives the event its ID, or, when the same job with the same digest was stored
// before, the ID of the first. Once an event is queued for its commit, a
// cancelled context changes nothing: the outcome of the commit is the answer.
// With MaxBacklog events waiting, Accept fails with event.ErrBacklogFull.
func (i *Inbox) Accept(ctx context.Context, e event.Event) (event.Receipt, error) {
	if i.backlog.count() >= i.config.MaxBacklog {
		return event.Receipt{}, event.ErrBacklogFull
	}
	entry, err := newAcceptance(e)
	if err != nil {
		return event.Receipt{}, fmt.Errorf("inbox: create event id: %w", err)
	}
	if err := i.commit(ctx, entry); err != nil {
		if ctx.Err() == nil {
			i.refused.Store(&refusal{at: time.Now(), err: err})
		}
		return event.Receipt{}, err
	}
	i.refused.Store(nil)
	if entry.unknown != nil {
		return event.Receipt{}, fmt.Errorf("inbox: store event: %w", entry.unknown)
	}
	return entry.receipt, nil
}

// Reject keeps the body of a request that was no event, within the bounds, and
// returns when it is safe.
func (i *Inbox) Reject(ctx context.Context, rejection event.Rejection) error {
	return i.commit(ctx, &rejectionEntry{rejection: rejection})
}

// Probe proves that the store takes writes: it commits a row, with its sync. The row needs no new room, so that a failed commit of
// an event less than refusalWeight ago counts as well, until one succeeds.
func (i *Inbox) Probe(ctx context.Context) error {
	if last := i.refused.Load(); last != nil && time.Since(last.at) < refusalWeight {
		return fmt.Errorf("inbox: the latest event could not be stored: %w", last.err)
	}
	return i.commit(ctx, &probeEntry{now: time.Now()})
}

// Relayed says that the events with these sequence numbers are in the work
// store: they are not given out again. It returns when that is committed.
func (i *Inbox) Relayed(ctx context.Context, sequences []int64) error {
	return i.commit(ctx, &relayedEntry{sequences: sequences})
}

// Waiting gives a token when there may be something to relay.
func (i *Inbox) Waiting() <-chan struct{} { return i.backlog.waiting }

// Backlog is how many events are accepted and not relayed yet, by all replicas; of what the others
// do it hears once a second.
func (i *Inbox) Backlog() int64 { return i.backlog.count() }

func (i *Inbox) commit(ctx context.Context, e entry) error {
	if err := i.committer.Commit(ctx, e); err != nil {
		return fmt.Errorf("inbox: commit: %w", err)
	}
	return nil
}
