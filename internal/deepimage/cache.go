package deepimage

import (
	"sync"
	"time"
)

// maxCached bounds the verdicts that are remembered, to 16 MiB if every address is as long as allowed.
const maxCached = 2048

// cache remembers verdicts for a while. Failures are not remembered.
type cache struct {
	final, pending time.Duration

	mutex    sync.Mutex
	verdicts *lru[string, Verdict] // by job
}

func newCache(config Config) *cache {
	return &cache{final: config.CacheTime, pending: config.PendingCacheTime, verdicts: newLRU[string, Verdict](maxCached)}
}

// get gives what is remembered of a job, if it is young enough.
func (c *cache) get(job string, now time.Time) (Verdict, bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	verdict, found := c.verdicts.get(job)
	if !found || now.Sub(verdict.Asked) >= c.keeps(verdict) {
		return Verdict{}, false
	}
	return verdict, true
}

func (c *cache) keeps(verdict Verdict) time.Duration {
	if verdict.Final() {
		return c.final
	}
	return c.pending
}

// put remembers a verdict, unless a later one is known: two look-ups of one job may be under way.
func (c *cache) put(verdict Verdict) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if known, found := c.verdicts.get(verdict.Job); found && known.Asked.After(verdict.Asked) {
		return
	}
	c.verdicts.put(verdict.Job, verdict)
}
