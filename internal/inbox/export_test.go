package inbox

import (
	"context"
	"errors"
)

// LimitPages limits the size of SQLite's file in pages, like a full disk. SQLite raises the limit to the size of the file.
func (i *Inbox) LimitPages(ctx context.Context, pages string) error {
	writer, ok := i.writer.(*sqliteWriter)
	if !ok {
		return errors.New("inbox: not SQLite")
	}
	_, err := writer.connection.ExecContext(ctx, "PRAGMA max_page_count = "+pages)
	return err
}
