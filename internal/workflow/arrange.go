package workflow

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// maxArranged is the maximum number of events that one transaction arranges.
const maxArranged = 500

// Arrange moves the waiting steps of a handler to the stage after those of the handlers that it needs, if they are in a
// later one, and starts those that need not wait any more. It returns the number of events that it changed.
func (s *Store) Arrange(ctx context.Context, handler string, needs []string) (events int, err error) {
	if len(needs) == 0 {
		return 0, nil
	}
	for {
		n := 0
		err := s.writer.Write(ctx, "workflow: arrange", func(ctx context.Context, tx *sql.Tx) error {
			ids, err := moveSteps(ctx, tx, handler, needs)
			n = len(ids)
			for _, id := range ids {
				if err == nil {
					err = s.startNextStage(ctx, tx, id)
				}
				if err == nil {
					err = refreshEvent(ctx, tx, id)
				}
			}
			return err
		})
		if events += n; err != nil || n < maxArranged {
			return events, err
		}
	}
}

// moveSteps moves the waiting steps of a handler in at most maxArranged unfinished events, and returns the events. An event
// without a step of the needed handlers stays as it is.
func moveSteps(ctx context.Context, tx *sql.Tx, handler string, needs []string) ([]event.ID, error) {
	var arguments []any
	for _, name := range needs {
		arguments = append(arguments, name)
	}
	arguments = append(arguments, handler, maxArranged)
	stage := "(SELECT max(position) + 1 FROM steps AS needed WHERE needed.event_id = steps.event_id AND needed.handler IN " +
		database.Values(1, len(needs)) + ")"
	own, limit := fmt.Sprintf("$%d", len(needs)+1), fmt.Sprintf("$%d", len(needs)+2)
	return database.SelectColumn[event.ID](ctx, tx, `UPDATE steps SET position = `+stage+`
		WHERE handler = `+own+` AND event_id IN (
			SELECT event_id FROM steps JOIN events ON events.id = steps.event_id
			WHERE events.state IN ('pending', 'running', 'retrying', 'dead') AND handler = `+own+` AND steps.state = 'waiting' AND position > `+stage+`
			LIMIT `+limit+`)
		RETURNING event_id`, arguments...)
}
