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

// statsCache counts for all who look.
type statsCache struct {
	count func(context.Context) (Stats, error)
	turn  chan struct{} // holds a token while somebody counts

	mutex sync.Mutex
	stats Stats
	valid time.Time
}

func newStatsCache(count func(context.Context) (Stats, error)) *statsCache {
	return &statsCache{count: count, turn: make(chan struct{}, 1)}
}

// get gives the counts; ctx bounds the wait and the counting.
func (c *statsCache) get(ctx context.Context) (Stats, error) {
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
	c.stats, c.valid = stats, time.Now().Add(max(statsValidFor, statsShare*time.Since(begun)))
	return stats, nil
}

func (c *statsCache) known() (Stats, bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.stats, time.Now().Before(c.valid)
}
