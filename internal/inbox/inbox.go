// Package inbox is where an event becomes durable. Accept is a group commit:
// requests that wait at the same moment share one transaction and one sync, and
// are answered after it. The inbox has a database file of its own, so that
// nothing that goes on behind it can make an answer wait.
package inbox

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/groupcommit"
	"github.com/deepimage-receiver/receiver/internal/setting"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Config bounds the inbox.
type Config struct {
	MaxBacklog         int64        `envconfig:"MAX_BACKLOG" default:"1000000" range:"1..1000000000" desc:"accepted events that may wait to be worked on; beyond it callbacks get 503"`
	MaxBatch           int          `envconfig:"MAX_BATCH" default:"512" range:"1..4096" desc:"callbacks that may share one transaction and its sync"`
	MaxRejections      int          `envconfig:"MAX_REJECTIONS" default:"1000" range:"1..1000000" desc:"bodies kept of callbacks that were no events; the oldest go first"`
	MaxRejectionsBytes setting.Size `envconfig:"MAX_REJECTIONS_BYTES" default:"64MiB" range:"1MiB..64GiB" desc:"bytes kept of callbacks that were no events"`
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
	database  *database.SQLite
	writer    *writer
	committer *groupcommit.Committer[entry]
	backlog   atomic.Int64
	waiting   chan struct{} // one token when there is something to relay
}

// Migrate brings the schema of the inbox up to date and returns its version.
func Migrate(ctx context.Context, db *database.SQLite) (int64, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return 0, fmt.Errorf("inbox: %w", err)
	}
	return db.Migrate(ctx, files)
}

// Open makes an inbox on a migrated database, which stays the caller's to close
// after the inbox. It starts the one goroutine that writes; Close stops it.
func Open(ctx context.Context, db *database.SQLite, config Config) (*Inbox, error) {
	inbox := &Inbox{config: config, database: db, waiting: make(chan struct{}, 1)}
	backlog, err := countOutbox(ctx, db.Reader)
	if err != nil {
		return nil, err
	}
	inbox.addBacklog(backlog)
	writer, err := openWriter(ctx, db.Writer, config, inbox.addBacklog)
	if err != nil {
		return nil, err
	}
	limits := groupcommit.Limits{Entries: config.MaxBatch, Bytes: maxBatchBytes, Wait: commitTimeout}
	inbox.writer, inbox.committer = writer, groupcommit.Start(limits, entry.size, writer.write)
	return inbox, nil
}

// Close refuses what comes from now on, commits what waits already, and stops.
func (i *Inbox) Close() error {
	i.committer.Stop()
	return i.writer.close()
}

// Accept stores an event and returns when it is safe: committed and synced. It
// gives the event its ID, or, when the same job with the same digest was stored
// before, the ID of the first. Once an event is queued for its commit, a
// cancelled context changes nothing: the outcome of the commit is the answer.
// Every error carries event.CodeUnavailable.
func (i *Inbox) Accept(ctx context.Context, e event.Event) (event.Receipt, error) {
	if i.backlog.Load() >= i.config.MaxBacklog {
		return event.Receipt{}, event.Unavailable("Too many events wait to be worked on.", nil)
	}
	entry, err := newAcceptance(e)
	if err != nil {
		return event.Receipt{}, event.Unavailable("The event could not be given an id.", err)
	}
	if err := i.commit(ctx, entry); err != nil {
		return event.Receipt{}, err
	}
	return entry.receipt, nil
}

// Reject keeps the body of a request that was no event, within the bounds, and
// returns when it is safe. Every error carries event.CodeUnavailable.
func (i *Inbox) Reject(ctx context.Context, rejection event.Rejection) error {
	return i.commit(ctx, &rejectionEntry{rejection: rejection})
}

// Probe proves that the store takes writes: it commits a row, with its sync.
func (i *Inbox) Probe(ctx context.Context) error {
	return i.commit(ctx, &probeEntry{now: time.Now()})
}

// Relayed says that the events with these sequence numbers are in the work
// store: they are not given out again. It returns when that is committed.
func (i *Inbox) Relayed(ctx context.Context, sequences []int64) error {
	return i.commit(ctx, &relayedEntry{sequences: sequences})
}

// Waiting gives a token when there may be something to relay.
func (i *Inbox) Waiting() <-chan struct{} { return i.waiting }

// Backlog is how many events are accepted and not relayed yet.
func (i *Inbox) Backlog() int64 { return i.backlog.Load() }

func (i *Inbox) commit(ctx context.Context, e entry) error {
	if err := i.committer.Commit(ctx, e); err != nil {
		return event.Unavailable("The event could not be stored.", err)
	}
	return nil
}

// addBacklog counts what a commit added to the outbox, and wakes the relay if it added any.
func (i *Inbox) addBacklog(delta int64) {
	i.backlog.Add(delta)
	if delta > 0 {
		select {
		case i.waiting <- struct{}{}:
		default: // the relay has been told already
		}
	}
}
