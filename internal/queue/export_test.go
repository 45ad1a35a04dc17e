package queue

import "time"

// LookForLostEvery makes a queue look sooner; it is called before Start.
func (q *Queue) LookForLostEvery(interval time.Duration) { q.lost.every = interval }

// ReplicaID is the name of this process as a replica.
func (q *Queue) ReplicaID() string { return q.replica.id }

// FallSilent ends the signs of life, as when the process is paused or cut off.
func (q *Queue) FallSilent() {
	q.replica.cancel()
	<-q.replica.done
}
