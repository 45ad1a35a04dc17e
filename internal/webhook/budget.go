package webhook

import "sync/atomic"

// budget is the memory that the bodies of all requests may take together, in bytes.
type budget struct{ free atomic.Int64 }

func newBudget(bytes int64) *budget {
	b := &budget{}
	b.free.Store(bytes)
	return b
}

// take sets n bytes aside, or says that there are not as many.
func (b *budget) take(n int64) bool {
	if b.free.Add(-n) >= 0 {
		return true
	}
	b.free.Add(n)
	return false
}

// give puts n bytes back.
func (b *budget) give(n int64) { b.free.Add(n) }
