package inbox

import (
	"context"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// identity is what makes an event the same event.
type identity struct {
	job    string
	digest event.Digest
}

// insertEvents writes the events of a batch that are new and gives every one its receipt.
func (w *sqliteWriter) insertEvents(ctx context.Context, acceptances []*acceptance) error {
	fresh := firstOfEach(acceptances)
	if len(fresh) == 0 {
		return nil
	}
	before := w.sequence
	inserted, err := w.insertRows(ctx, fresh)
	if err != nil {
		return err
	}
	if inserted < int64(len(fresh)) {
		err = w.findFirst(ctx, fresh)
	}
	if err == nil && inserted > 0 {
		_, err = w.statements[sqlOutbox].ExecContext(ctx, before)
		w.outbox += inserted
	}
	for _, a := range acceptances {
		if a.first != nil {
			a.receipt = event.Receipt{ID: a.first.receipt.ID, Duplicate: true}
		}
	}
	return err
}

// firstOfEach leaves out what is in the batch twice: the later one gets the receipt of the earlier one.
func firstOfEach(acceptances []*acceptance) []*acceptance {
	if len(acceptances) < 2 {
		return acceptances
	}
	seen := make(map[identity]*acceptance, len(acceptances))
	fresh := make([]*acceptance, 0, len(acceptances))
	for _, a := range acceptances {
		key := identity{a.event.Job, a.event.Digest}
		if first, repeated := seen[key]; repeated {
			a.first = first
			continue
		}
		seen[key] = a
		fresh = append(fresh, a)
	}
	return fresh
}

// insertRows inserts in prepared chunks and counts what was new. Each event gets
// the receipt of a new one; findFirst corrects those that were not.
func (w *sqliteWriter) insertRows(ctx context.Context, fresh []*acceptance) (inserted int64, err error) {
	for _, insert := range w.inserts {
		for ; len(fresh) >= insert.rows; fresh = fresh[insert.rows:] {
			result, err := insert.statement.ExecContext(ctx, w.chunk(fresh[:insert.rows])...)
			if err != nil {
				return inserted, err
			}
			rows, err := result.RowsAffected()
			if err != nil {
				return inserted, err
			}
			inserted += rows
		}
	}
	return inserted, nil
}

func (w *sqliteWriter) chunk(acceptances []*acceptance) []any {
	w.arguments = w.arguments[:0]
	for _, a := range acceptances {
		w.sequence++
		e := &a.event
		a.receipt = event.Receipt{ID: e.ID}
		w.arguments = append(w.arguments, w.sequence, string(e.ID), e.Job, e.Digest[:], e.Received.UnixMicro(), e.Body, sourceText(e), originText(e), e.Token)
	}
	return w.arguments
}

// findFirst looks up whose id counts for each event, once some of them turned out to be known.
func (w *sqliteWriter) findFirst(ctx context.Context, fresh []*acceptance) error {
	for _, a := range fresh {
		var id string
		row := w.statements[sqlFirst].QueryRowContext(ctx, a.event.Job, a.event.Digest[:])
		if err := row.Scan(&id); err != nil {
			return err
		}
		a.receipt = event.Receipt{ID: event.ID(id), Duplicate: event.ID(id) != a.event.ID}
	}
	return nil
}
