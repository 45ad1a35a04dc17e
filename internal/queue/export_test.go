package queue

import "time"

// LookForLostEvery makes a queue look sooner; it is called before Start.
func (q *Queue) LookForLostEvery(interval time.Duration) { q.lost.every = interval }
