package database

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

const (
	// quickCheckTimeout bounds the look at the integrity of a file that is opened: a large file is not read to its end.
	quickCheckTimeout = 500 * time.Millisecond
	// quickCheckWait is how much of that time the opening waits.
	quickCheckWait = 60 * time.Millisecond
)

// quickCheck is the look at the integrity of a file that was opened.
type quickCheck struct {
	stop  context.CancelFunc
	ended chan struct{}
	err   error // valid when ended is closed
}

// startCheck looks at the integrity of the file, and waits for a part of the time it may take.
func (db *DB) startCheck(ctx context.Context, path string) error {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), quickCheckTimeout)
	db.check = &quickCheck{stop: cancel, ended: make(chan struct{})}
	go func() {
		defer close(db.check.ended)
		if err := lookForDamage(limited, db.Reader); err != nil {
			db.check.err = fmt.Errorf("database: open %s: %w", path, damaged(err))
		}
	}()
	waiting, cancel := context.WithTimeout(ctx, quickCheckWait)
	defer cancel()
	if err := db.AwaitCheck(waiting); err != nil && waiting.Err() == nil {
		return err
	}
	return ctx.Err()
}

// AwaitCheck waits for the look at the integrity of the file, which goes on for a moment after it was opened. It returns an error that
// wraps ErrDamaged if the structure of the file is damaged.
func (db *DB) AwaitCheck(ctx context.Context) error {
	if db.check == nil {
		return nil
	}
	select {
	case <-db.check.ended:
		return db.check.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// endCheck ends the look.
func (db *DB) endCheck() {
	if db.check != nil {
		db.check.stop()
		<-db.check.ended
	}
}

// lookForDamage looks at the integrity of a file until ctx ends, which is no error.
func lookForDamage(ctx context.Context, reader *sql.DB) error {
	var found string
	err := reader.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&found)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	case found != "ok":
		return fmt.Errorf("%w: %s", ErrDamaged, found)
	default:
		return nil
	}
}
