package queue

import (
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
)

// serverTime makes River take the time from the clock of the database and not from that of this machine, which may be wrong.
type serverTime struct{ db *database.DB }

// Now returns the time by which River computes the times of snoozed and retried jobs.
func (t serverTime) Now() time.Time { return t.db.Now() }

// NowOrNil returns nil: River's statements use now() of the server.
func (t serverTime) NowOrNil() *time.Time { return nil }

// insertTime is serverTime for new jobs, whose time River's drivers would take from this machine. It is a little early, so that a
// job is due for every replica as soon as it is inserted.
type insertTime struct{ serverTime }

// insertMargin is more than the inaccuracy of database.DB.Now.
const insertMargin = 100 * time.Millisecond

// NowOrNil returns the time of new jobs.
func (t insertTime) NowOrNil() *time.Time {
	now := t.db.Now().Add(-insertMargin).UTC()
	return &now
}
