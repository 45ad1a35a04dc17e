package database

import (
	"context"
	"fmt"
	"time"
)

const (
	// openCheckTimeout bounds the look at the integrity of a file that is opened, so that a large one does not delay the start.
	openCheckTimeout = 50 * time.Millisecond
	// checkTimeout bounds that of Check: a large file is not read to its end.
	checkTimeout = 500 * time.Millisecond
)

// Check looks longer at the integrity of a SQLite file for which the time was too short when it was opened. It returns an error that
// wraps ErrDamaged if the structure of the file is damaged.
func (db *DB) Check(ctx context.Context) error {
	if !db.unchecked {
		return nil
	}
	_, err := db.quickCheck(ctx, checkTimeout)
	return err
}

// quickCheck looks at the integrity of the file until its time is over. It reports whether it came to the end.
func (db *DB) quickCheck(ctx context.Context, timeout time.Duration) (complete bool, err error) {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var found string
	err = db.Reader.QueryRowContext(limited, "PRAGMA quick_check(1)").Scan(&found)
	switch {
	case err != nil && limited.Err() != nil:
		return false, ctx.Err()
	case err == nil && found != "ok":
		err = fmt.Errorf("%w: %s", ErrDamaged, found)
	}
	return true, Wrap("database: check "+db.path, damaged(err))
}
