package admin

import (
	"context"
	"sync"
	"time"
)

// How long counts are taken for true: a moment, or longer where counting takes long, so that looking never
// costs more than a small part of what the store can do.
const (
	statsValidFor = time.Second
	statsShare    = 20 // of the time that counting took
)

// Counts counts for all who look.
type Counts struct {
	count func(context.Context) (Stats, error)
	turn  chan struct{} // holds a token while somebody counts

	mutex sync.Mutex
	stats Stats
	begun time.Time // when they were counted
	valid time.Time // how long they are taken for true
}

// NewCounts makes counts of what a function counts.
func NewCounts(count func(context.Context) (Stats, error)) *Counts {
	return &Counts{count: count, turn: make(chan struct{}, 1)}
}

// Get gives the counts; ctx bounds the wait and the counting.
func (c *Counts) Get(ctx context.Context) (Stats, error) {
	if stats, ok := c.known(); ok {
		return stats, nil
	}
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return Stats{}, ctx.Err()
	}
	if stats, ok := c.known(); ok {
		return stats, nil // somebody else has counted meanwhile
	}
	begun := time.Now()
	stats, err := c.count(ctx)
	if err != nil {
		return Stats{}, err
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.stats, c.begun, c.valid = stats, begun, time.Now().Add(max(statsValidFor, statsShare*time.Since(begun)))
	return stats, nil
}

// lags says whether counts older than a change were shown that would be counted anew by now.
func (c *Counts) lags(changed time.Time) bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.begun.Before(changed) && time.Now().After(c.valid)
}

func (c *Counts) known() (Stats, bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.stats, time.Now().Before(c.valid)
}
