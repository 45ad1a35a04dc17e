package work

import (
	"context"
	"database/sql"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/database"
)

// copiedExpectation are the columns that are copied: all but the lease, which nobody holds.
const copiedExpectation = "id, job, token_hash, token_used, token_digest, origin, state, created_at, next_at, horizon_at, polls, event_id, detail, settled_at"

// copyExpectations adds the expectations of the source. A job that is expected here already stays as it is.
func (s *Store) copyExpectations(ctx context.Context, source *database.DB) error {
	last := ""
	for {
		rows, err := readExpectations(ctx, source, last)
		if err != nil || len(rows) == 0 {
			return err
		}
		last = rows[len(rows)-1][0].(string) //nolint:forcetypeassert // a TEXT column
		err = s.write(ctx, "copy expectations", "", func(ctx context.Context, tx *sql.Tx) error {
			insert := insertion{
				into: "expectations (" + copiedExpectation + ")", columns: strings.Count(copiedExpectation, ",") + 1, rest: " ON CONFLICT DO NOTHING",
			}
			for _, row := range rows {
				insert.add(row...)
			}
			return insert.run(ctx, tx, nil)
		})
		if err != nil {
			return err
		}
	}
}

func readExpectations(ctx context.Context, source *database.DB, after string) (list [][]any, err error) {
	rows, err := source.Reader.QueryContext(ctx,
		"SELECT "+copiedExpectation+" FROM expectations WHERE id > $1 ORDER BY id LIMIT $2", after, copyRows)
	if err != nil {
		return nil, err
	}
	return scanRows(rows, copiedExpectation)
}
