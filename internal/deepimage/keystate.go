package deepimage

import (
	"sync"
	"time"
)

// keyState is whether the API refuses the key, as its latest answer shows.
type keyState struct {
	mutex   sync.Mutex
	refused *Error // nil if it accepts the key, or has not answered yet
	since   time.Time
}

// observe records what the outcome of a call shows about the key. A network, a gateway or a rate limit shows nothing.
func (k *keyState) observe(failed *Error, now time.Time) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	switch {
	case failed == nil:
		k.refused = nil
	case failed.Kind == KindRefused, failed.Kind == KindSlots, failed.Kind == KindCredits:
		k.refused = nil
	case failed.Kind == KindKey && k.refused == nil:
		k.refused, k.since = failed, now
	}
}

// KeyRefused returns since when the API refuses the key and its answer as a sentence; the zero time if it does not, as far as is
// known.
func (c *Client) KeyRefused() (since time.Time, text string) {
	c.keyState.mutex.Lock()
	defer c.keyState.mutex.Unlock()
	if c.keyState.refused == nil {
		return time.Time{}, ""
	}
	return c.keyState.since, c.keyState.refused.Text
}
