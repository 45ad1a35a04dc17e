package database

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// clock is the clock of a database: that of the server in Postgres, that of this machine in SQLite. Between two readings it advances
// with the monotonic clock of this process, so that a jump of the machine's clock does not change it.
type clock struct{ last atomic.Pointer[Reading] }

// Reading is one reading of the clock of a database.
type Reading struct {
	local  time.Time // of this process, with its monotonic part
	server time.Time
}

// Time returns the time that was read.
func (r Reading) Time() time.Time { return r.server }

// Now returns the time of the clock of the database. All replicas decide by it what is due.
func (db *DB) Now() time.Time {
	if db.clock == nil {
		return time.Now()
	}
	last := db.clock.last.Load()
	if last == nil {
		return time.Now()
	}
	return last.server.Add(time.Since(last.local))
}

// Skew returns how much the clock of this machine is ahead of that of the database; negative if it is behind.
func (db *DB) Skew() time.Duration { return time.Now().Round(0).Sub(db.Now().Round(0)) }

// ReadClock reads the clock of the database. AdoptClock makes the reading count.
func (db *DB) ReadClock(ctx context.Context) (Reading, error) {
	if db.Kind == SQLite {
		return localReading(), nil
	}
	var best Reading
	shortest := time.Hour
	for range 3 { // the fastest answer is the most exact
		begun := time.Now()
		var server time.Time
		if err := db.Pool.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&server); err != nil {
			return Reading{}, fmt.Errorf("database: clock: %w", err)
		}
		if took := time.Since(begun); took < shortest {
			best, shortest = Reading{local: begun.Add(took / 2), server: server.UTC()}, took
		}
	}
	return best, nil
}

// localReading reads the clock of this machine.
func localReading() Reading {
	now := time.Now()
	return Reading{local: now, server: now.Round(0).UTC()}
}

// Shifted returns the reading of a clock that has jumped by d, for tests.
func (r Reading) Shifted(d time.Duration) Reading {
	return Reading{local: r.local, server: r.server.Add(d)}
}

// Drift returns by how much a reading differs from what Now expects: nothing but a little, unless the clock has jumped.
func (db *DB) Drift(r Reading) time.Duration {
	return r.server.Add(time.Since(r.local)).Sub(db.Now().Round(0))
}

// AdoptClock makes Now continue from a reading, for all databases that share the clock.
func (db *DB) AdoptClock(r Reading) {
	if db.clock != nil {
		db.clock.last.Store(&r)
	}
}
