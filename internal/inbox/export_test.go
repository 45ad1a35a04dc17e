package inbox

import (
	"context"
	"errors"
)

// LimitPages bounds the size of SQLite's file in pages, as a full disk would. SQLite raises a
// bound that is below the file's present size to that size.
func (i *Inbox) LimitPages(ctx context.Context, pages string) error {
	writer, ok := i.writer.(*sqliteWriter)
	if !ok {
		return errors.New("inbox: not in SQLite")
	}
	_, err := writer.connection.ExecContext(ctx, "PRAGMA max_page_count = "+pages)
	return err
}
