package queue

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// aheadFactor is the number of jobs that are fetched ahead for each slot, and maxAhead the most for a handler.
	aheadFactor = 4
	maxAhead    = 64
	// maxFetchWait bounds the wait of a fetch while enough jobs wait for slots.
	maxFetchWait = time.Second
)

// slots limits how many jobs of one handler run at the same time. River fetches some more jobs in SQLite, where no other process could
// run them: a slot that becomes free need not wait for the next fetch. It is safe for use by many goroutines.
type slots struct {
	ahead int // jobs that are fetched ahead

	mutex   sync.Mutex
	free    int
	waiting [2][]chan struct{} // tickets of jobs, those of late jobs second
	few     chan struct{}      // closed when few jobs wait; nil if no fetch waits for that
	ended   chan struct{}      // closed when the queue stops
}

func newSlots(concurrency int) *slots {
	return &slots{free: concurrency, ahead: min(aheadFactor*concurrency, maxAhead), ended: make(chan struct{})}
}

// acquire waits for a slot. It returns false if the queue stops or ctx ends first.
func (s *slots) acquire(ctx context.Context, late bool) bool {
	rank := 0
	if late {
		rank = 1
	}
	ticket := s.enqueue(rank)
	if ticket == nil {
		return true
	}
	select {
	case <-ticket:
		return true
	case <-s.ended:
	case <-ctx.Done():
	}
	s.abandon(ticket, rank)
	return false
}

// enqueue acquires a free slot and returns nil, or returns a ticket that is closed when there is one.
func (s *slots) enqueue(rank int) (ticket chan struct{}) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.free > 0 {
		s.free--
		return nil
	}
	ticket = make(chan struct{})
	s.waiting[rank] = append(s.waiting[rank], ticket)
	return ticket
}

// abandon removes a ticket, or releases its slot if it has got one.
func (s *slots) abandon(ticket chan struct{}, rank int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if at := slices.Index(s.waiting[rank], ticket); at >= 0 {
		s.waiting[rank] = slices.Delete(s.waiting[rank], at, at+1)
		return
	}
	s.pass()
}

// release ends the use of a slot.
func (s *slots) release() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.pass()
}

// pass passes a slot to the next job. The caller holds the mutex.
func (s *slots) pass() {
	for rank, tickets := range s.waiting {
		if len(tickets) == 0 {
			continue
		}
		close(tickets[0])
		s.waiting[rank] = slices.Delete(tickets, 0, 1)
		if s.few != nil && !s.hasEnough() {
			close(s.few)
			s.few = nil
		}
		return
	}
	s.free++
}

// countWaiting returns the number of jobs that wait for a slot.
func (s *slots) countWaiting() int64 {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return int64(len(s.waiting[0]) + len(s.waiting[1]))
}

// hasEnough reports whether so many jobs wait that a fetch can wait too. Late ones do not count: there may be others.
func (s *slots) hasEnough() bool { return len(s.waiting[0]) > s.ahead/2 }

// awaitFew waits while many jobs wait for slots, so that one fetch finds many. Only one fetch waits at a time.
func (s *slots) awaitFew() {
	s.mutex.Lock()
	if !s.hasEnough() {
		s.mutex.Unlock()
		return
	}
	few := make(chan struct{})
	s.few = few
	s.mutex.Unlock()
	timer := time.NewTimer(maxFetchWait)
	defer timer.Stop()
	select {
	case <-few:
	case <-s.ended:
	case <-timer.C:
	}
}

// end lets nothing wait any more. It must be called once.
func (s *slots) end() { close(s.ended) }
