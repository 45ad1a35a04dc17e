package admin

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/replay"
	"github.com/deepimage-receiver/receiver/internal/workflow"
)

const (
	// chartPeriod is the period of the rates, in buckets of rateBucket.
	chartPeriod = 24 * time.Hour
	rateBucket  = 30 * time.Minute

	// Statistics are cached for statsValidFor, or for statsShare times as long as they took to count. So
	// counting costs at most a twentieth of the time.
	statsValidFor = time.Second
	statsShare    = 20
)

// Stats are the counts of the overview.
type Stats struct {
	Taken  time.Time              `json:"taken_at"`
	Events map[event.Status]int64 `json:"events"`
	// Handlers are the configured steps in their order, then those that only the store knows.
	Handlers []HandlerStats `json:"handlers"`
	Backlog  int64          `json:"backlog"` // accepted and not in the workflow yet
	// Oldest is when the oldest event was received that has a pending, running or retrying step.
	Oldest   *time.Time    `json:"oldest_pending_at"`
	Age      float64       `json:"oldest_pending_seconds"` // 0 if there is none
	Rejected RejectedStats `json:"rejected"`
	// Rates are the events received per bucket, oldest first, without empty buckets.
	Bucket float64        `json:"bucket_seconds"`
	Rates  []Bucket       `json:"rates"`
	Disks  []Disk         `json:"disks"`
	Replay ReplayProgress `json:"replay"`
	// Warnings are about the receiver, as every page shows them.
	Warnings []Warning `json:"warnings"`
}

// HandlerStats are the counts of the steps of one name.
type HandlerStats struct {
	Name       string `json:"name"`
	Configured bool   `json:"configured"`
	Enabled    bool   `json:"enabled"`
	history.StepCounts
	Alone      int                    `json:"deferred_alone"`   // included in Deferred: the outage of each step concerns it alone
	NextAt     time.Time              `json:"next_at,omitzero"` // of the first deferred step; zero if the target is disabled
	Disabled   time.Time              `json:"disabled_at,omitzero"`
	ProbeAt    time.Time              `json:"probe_at,omitzero"` // when one step tests whether the disabled target is back
	Reason     event.Reason           `json:"reason,omitempty"`  // why it is disabled, or else why the first deferred step was deferred
	Detail     string                 `json:"detail,omitempty"`
	Hosts      []workflow.BlockedHost `json:"blocked_hosts,omitempty"` // hosts of results that are not allowed
	Unattended int                    `json:"unattended"`              // steps that no worker runs, because the handler is not configured
	Kept       time.Time              `json:"kept_at,omitzero"`        // since when an operator keeps them
	KeptBy     string                 `json:"kept_by,omitempty"`
}

// IsDown reports whether steps wait because the target is down, and not each for a reason of its own.
func (h HandlerStats) IsDown() bool { return h.Deferred > h.Alone }

// RejectedStats count rejected callbacks.
type RejectedStats struct {
	Ever  int64 `json:"ever"`
	Kept  int64 `json:"kept"`
	Bytes int64 `json:"bytes"` // of those kept
}

// Bucket counts the events received in a period by their current state.
type Bucket struct {
	Start  time.Time              `json:"start"`
	Events map[event.Status]int64 `json:"events"`
}

// Disk is a disk that holds files of the receiver.
type Disk struct {
	Path    string `json:"path"`
	Free    uint64 `json:"free_bytes"`
	Total   uint64 `json:"total_bytes"`
	Minimum uint64 `json:"minimum_free_bytes"`

	Inodes *uint64 `json:"-"` // free; nil if the file system does not count them
}

// ReplayProgress is the progress of the current bulk replay, or of the last one.
type ReplayProgress struct {
	Running bool `json:"running"`
	replay.BulkReplay
}

// Stats returns the statistics, which may be cached.
func (a *Admin) Stats(ctx context.Context) (Stats, error) {
	stats, err := a.stats.get(ctx)
	if err == nil {
		stats.Warnings = a.warnings()
		stats.Replay, err = a.replayProgress(ctx)
	}
	return stats, storeFailure(err)
}

// showStats answers GET /api/v1/stats.
func (a *Admin) showStats(w http.ResponseWriter, r *http.Request) {
	stats, err := a.Stats(r.Context())
	reply(w, r, http.StatusOK, stats, err)
}

func (a *Admin) replayProgress(ctx context.Context) (ReplayProgress, error) {
	latest, err := a.deps.BulkReplays.Latest(ctx)
	if errors.Is(err, database.ErrNotFound) {
		return ReplayProgress{}, nil
	}
	return ReplayProgress{Running: err == nil && latest.Finished.IsZero(), BulkReplay: latest}, err
}

// countStats counts everything but the replay.
func (a *Admin) countStats(ctx context.Context) (stats Stats, err error) {
	now := time.Now().UTC()
	stats = Stats{Taken: now, Backlog: a.deps.Inbox.Backlog(), Bucket: rateBucket.Seconds(), Rates: []Bucket{}, Disks: a.deps.Disks()}
	if stats.Events, err = a.deps.History.Counts(ctx); err != nil {
		return stats, err
	}
	if stats.Handlers, err = a.handlerStats(ctx); err != nil {
		return stats, err
	}
	oldest, err := a.deps.History.Oldest(ctx)
	if err != nil {
		return stats, err
	}
	if !oldest.IsZero() {
		stats.Oldest, stats.Age = &oldest, max(0, now.Sub(oldest).Seconds())
	}
	rejected, err := a.deps.Inbox.Stats(ctx)
	if err != nil {
		return stats, err
	}
	stats.Rejected = RejectedStats{Ever: rejected.RejectedEver, Kept: rejected.RejectedKept, Bytes: rejected.RejectedBytes}
	rates, err := a.deps.History.Rates(ctx, now.Truncate(rateBucket).Add(rateBucket-chartPeriod), rateBucket)
	for _, start := range slices.SortedFunc(maps.Keys(rates), time.Time.Compare) {
		stats.Rates = append(stats.Rates, Bucket{Start: start, Events: rates[start]})
	}
	return stats, err
}

// handlerStats counts steps by name.
func (a *Admin) handlerStats(ctx context.Context) ([]HandlerStats, error) {
	counts, err := a.deps.History.StepCounts(ctx)
	if err != nil {
		return nil, err
	}
	targets, err := a.targets(ctx)
	if err != nil {
		return nil, err
	}
	list := []HandlerStats{}
	add := func(name string) *HandlerStats {
		list = append(list, HandlerStats{Name: name, Enabled: true, Configured: slices.Contains(a.deps.Handlers, name)})
		one := &list[len(list)-1]
		if found := counts[name]; found != nil {
			one.StepCounts = *found
		} else {
			one.Reasons = map[event.Reason]int{}
		}
		delete(counts, name)
		return one
	}
	for _, t := range targets {
		one := add(t.Name)
		one.Enabled, one.Disabled, one.NextAt, one.Reason, one.Detail = t.Enabled, t.Disabled, t.NextAt, t.Reason, t.Detail
		one.Alone, one.ProbeAt, one.Hosts = t.Alone, t.ProbeAt, t.Hosts
		one.Unattended, one.Kept, one.KeptBy = t.Unattended, t.Kept, t.KeptBy
	}
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		add(name)
	}
	return list, nil
}

// statsCache counts once for all who ask at the same time.
type statsCache struct {
	count func(context.Context) (Stats, error)
	turn  chan struct{} // holds a token while statistics are counted

	mutex sync.Mutex
	stats Stats
	begun time.Time // when counting began
	valid time.Time // until when the statistics are cached
}

func newStatsCache(count func(context.Context) (Stats, error)) *statsCache {
	return &statsCache{count: count, turn: make(chan struct{}, 1)}
}

// get returns the statistics; ctx bounds the wait and the counting.
func (c *statsCache) get(ctx context.Context) (Stats, error) {
	if stats, ok := c.cached(); ok {
		return stats, nil
	}
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return Stats{}, ctx.Err()
	}
	if stats, ok := c.cached(); ok {
		return stats, nil // another request has counted in the meantime
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

// isStale reports whether the cached statistics are older than a change, and would be counted again by now.
func (c *statsCache) isStale(changed time.Time) bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.begun.Before(changed) && time.Now().After(c.valid)
}

func (c *statsCache) cached() (Stats, bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.stats, time.Now().Before(c.valid)
}
