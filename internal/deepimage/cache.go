package deepimage

import (
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/lru"
)

// maxCached bounds the cached statuses: 16 MiB if every URL has the maximum length.
const maxCached = 2048

// cache holds job statuses for a while. It holds no errors.
type cache struct {
	final, pending time.Duration // lifetimes

	mutex    sync.Mutex
	statuses *lru.Cache[string, JobStatus] // by job
}

func newCache(config Config) *cache {
	return &cache{final: config.CacheTime, pending: config.PendingCacheTime, statuses: lru.New[string, JobStatus](maxCached)}
}

// get returns the status of a job unless it has expired.
func (c *cache) get(job string, now time.Time) (JobStatus, bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	status, ok := c.statuses.Get(job)
	if !ok || now.Sub(status.Asked) >= c.lifetime(status) {
		return JobStatus{}, false
	}
	return status, true
}

func (c *cache) lifetime(status JobStatus) time.Duration {
	if status.IsFinal() {
		return c.final
	}
	return c.pending
}

// put stores a status unless the cache has a later one: two lookups of one job can overlap.
func (c *cache) put(status JobStatus) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if known, ok := c.statuses.Get(status.Job); ok && known.Asked.After(status.Asked) {
		return
	}
	c.statuses.Put(status.Job, status)
}
