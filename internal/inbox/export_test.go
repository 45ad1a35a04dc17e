package inbox

import "context"

// LimitPages bounds the file's size in pages, as a full disk would. SQLite raises a
// bound that is below the file's present size to that size.
func (i *Inbox) LimitPages(ctx context.Context, pages string) error {
	_, err := i.writer.connection.ExecContext(ctx, "PRAGMA max_page_count = "+pages)
	return err
}
