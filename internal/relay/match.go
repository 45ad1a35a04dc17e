package relay

import (
	"cmp"
	"context"
	"errors"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/google/uuid"
)

// ErrForeign reports an inbox and a work store of two different receivers.
var ErrForeign = errors.New("relay: inbox.db and work.db belong to different receivers; put the two files of one receiver, " +
	"or of one backup, into the folder")

// Match is the result of MatchStores. A count is not zero when one of the files was lost or restored from an older copy.
type Match struct {
	Requeued int64 // events that the work store lacked
	Bodiless int64 // events in the work store whose bodies the inbox lacks
}

// MatchStores compares the two SQLite files of a receiver before they are used. It puts events that the work store lacks into the
// outbox again; events that it has do not change. The inbox does not assign the numbers of events that it lacks again.
func MatchStores(ctx context.Context, inboxDB, workDB *database.DB) (Match, error) {
	in, err := database.ReadMark(ctx, inboxDB)
	if err != nil {
		return Match{}, err
	}
	work, err := database.ReadMark(ctx, workDB)
	if err != nil {
		return Match{}, err
	}
	if in.Identity != "" && work.Identity != "" && in.Identity != work.Identity {
		return Match{}, ErrForeign
	}
	numbers, err := inbox.ReadNumbers(ctx, inboxDB)
	if err != nil {
		return Match{}, err
	}
	if work.Identity == "" { // new, or written by a version that had no marks
		if work.Relayed, err = workflow.LastSequence(ctx, workDB); err != nil {
			return Match{}, err
		}
	}
	var found Match
	if work.Relayed < max(numbers.Relayed, min(in.Relayed, numbers.Last)) {
		if found.Requeued, err = inbox.Requeue(ctx, inboxDB, work.Relayed); err != nil {
			return Match{}, err
		}
	}
	if work.Relayed > numbers.Last {
		if found.Bodiless, err = workflow.CountAfter(ctx, workDB, numbers.Last); err != nil {
			return Match{}, err
		}
	}
	identity := cmp.Or(in.Identity, work.Identity, uuid.NewString())
	// The inbox first: if its mark is written alone, the next start sees the same again.
	if err := database.WriteMark(ctx, inboxDB, database.Mark{Identity: identity, Relayed: max(in.Relayed, work.Relayed)}); err != nil {
		return Match{}, err
	}
	return found, database.WriteMark(ctx, workDB, database.Mark{Identity: identity, Relayed: work.Relayed})
}
