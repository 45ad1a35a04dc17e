package inbox

import "context"

// removeEvents removes events or their bodies, and deletes tombstones.
func (w *sqliteWriter) removeEvents(ctx context.Context, b batch) error {
	for _, r := range b.removals {
		for _, e := range r.events {
			if err := w.removeEvent(ctx, e, r.at); err != nil {
				return err
			}
		}
	}
	for _, sequence := range b.tombstones {
		if _, err := w.statements[sqlExpire].ExecContext(ctx, sequence); err != nil {
			return err
		}
	}
	return nil
}

// removeEvent removes an event at a time, or only its body at 0.
func (w *sqliteWriter) removeEvent(ctx context.Context, e Identity, at int64) (err error) {
	if at == 0 {
		_, err = w.statements[sqlPurge].ExecContext(ctx, e.Job, string(e.ID))
	} else if _, err = w.statements[sqlRemove].ExecContext(ctx, e.Job, string(e.ID), at); err == nil {
		err = w.leaveOutbox(ctx, sqlRemoved, e.Job, string(e.ID))
	}
	for _, text := range []string{sqlPurged, sqlUnneeded} {
		if err == nil {
			_, err = w.statements[text].ExecContext(ctx, string(e.ID))
		}
	}
	return err
}
