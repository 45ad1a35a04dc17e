package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Mark ties the two SQLite files of one receiver together: the inbox and the work store each hold one. By their marks a receiver
// notices at its start that one of the files is missing, older than the other, or of another receiver.
type Mark struct {
	Identity string // "" if the file has no mark yet
	Relayed  int64  // the highest sequence number of the events that the work store has had
}

// ReadMark returns the mark of a file; the zero Mark if it has none yet.
func ReadMark(ctx context.Context, db *DB) (Mark, error) {
	var mark Mark
	err := db.Writer.QueryRowContext(ctx, "SELECT identity, relayed FROM mark").Scan(&mark.Identity, &mark.Relayed)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Mark{}, fmt.Errorf("database: read mark: %w", err)
	}
	return mark, nil
}

// WriteMark replaces the mark of a file.
func WriteMark(ctx context.Context, db *DB, mark Mark) error {
	_, err := db.Writer.ExecContext(ctx, `INSERT INTO mark (id, identity, relayed) VALUES (1, $1, $2)
		ON CONFLICT (id) DO UPDATE SET identity = excluded.identity, relayed = excluded.relayed`, mark.Identity, mark.Relayed)
	if err != nil {
		return fmt.Errorf("database: write mark: %w", err)
	}
	return nil
}

// AdvanceMark is the statement that raises the mark of a file to a sequence number. A file without a mark has nothing to raise.
const AdvanceMark = "UPDATE mark SET relayed = $1 WHERE relayed < $1"
