package inbox

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// Renewal is a stored renewal. It stays until DeleteRenewal.
type Renewal struct {
	event.Renewal

	Received time.Time
	urls     string // as it is stored
}

// renewal is one row of renewals.
type renewal struct {
	id, job, urls string
	received      int64
}

const (
	// sqlRenew keeps the newest renewal of an event whose body was not removed.
	sqlRenew = `INSERT INTO renewals (id, job, urls, received_at)
		SELECT $1, $2, $3, CAST($4 AS BIGINT) WHERE EXISTS (SELECT 1 FROM callbacks WHERE job = $2 AND id = $1 AND length(body) > 0)
		ON CONFLICT (id) DO UPDATE SET urls = excluded.urls, received_at = excluded.received_at WHERE renewals.received_at <= excluded.received_at`
	// sqlRenewed deletes a renewal, unless a newer one has its place.
	sqlRenewed  = "DELETE FROM renewals WHERE id = $1 AND urls = $2"
	sqlUnneeded = "DELETE FROM renewals WHERE id = $1"
)

// renew stores the signed URLs of a repeat, in a commit of their own, so that a first callback takes no longer for it.
func (i *Inbox) renew(ctx context.Context, first event.ID, repeat event.Event) error {
	urls := repeat.SignedURLs()
	if len(urls) == 0 {
		return nil
	}
	text, err := json.Marshal(urls)
	if err != nil {
		return fmt.Errorf("inbox: renew: %w", err)
	}
	row := &renewal{id: string(first), job: repeat.Job, urls: database.SanitizeText(string(text)), received: repeat.Received.UnixMicro()}
	if err := i.commit(ctx, &entry{kind: storeRenewal, renewal: row}); err != nil {
		return err
	}
	select {
	case i.renewals <- struct{}{}:
	default: // the reader is awake
	}
	return nil
}

// RenewalsWaiting returns a channel that receives a value when there are renewals of this process.
func (i *Inbox) RenewalsWaiting() <-chan struct{} { return i.renewals }

// Renewals returns the stored renewals in the order of their events, at most limit, from the one that follows the event after on.
func (i *Inbox) Renewals(ctx context.Context, after event.ID, limit int) ([]Renewal, error) {
	rows, err := database.Query(ctx, i.database.Reader, "SELECT id, job, urls, received_at FROM renewals WHERE id > $1 ORDER BY id LIMIT $2",
		string(after), limit)
	if err != nil {
		return nil, fmt.Errorf("inbox: renewals: %w", err)
	}
	var list []Renewal
	err = rows.ForEach(func() error {
		var r Renewal
		var received int64
		if err := rows.Scan(&r.Event, &r.Job, &r.urls, &received); err != nil {
			return err
		}
		r.Received = database.FromMicros(received)
		list = append(list, r)
		return json.NewDecoder(strings.NewReader(r.urls)).Decode(&list[len(list)-1].URLs)
	})
	if err != nil {
		return nil, fmt.Errorf("inbox: renewals: %w", err)
	}
	return list, nil
}

// DeleteRenewal deletes a renewal, unless a newer one of its event has its place. It returns when that is committed.
func (i *Inbox) DeleteRenewal(ctx context.Context, r Renewal) error {
	return i.commit(ctx, &entry{kind: deleteRenewal, renewal: &renewal{id: string(r.Event), urls: r.urls}})
}
