package fakevendortest

import "sync"

// account has the limits of the plan.
type account struct {
	mutex   sync.Mutex
	slots   int // jobs that may be under way at the same time
	credits int
	busy    int
	jobs    int // submitted so far
}

// acquire begins a job and returns its number, from 0, or why there is none.
func (a *account) acquire() (number int, refused submission) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	switch {
	case a.credits == 0:
		return 0, noCredits
	case a.busy >= a.slots:
		return 0, noSlot
	}
	a.credits--
	a.busy++
	a.jobs++
	return a.jobs - 1, accepted
}

// release ends a job.
func (a *account) release() {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.busy--
}

func (a *account) left() int {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.credits
}

// submission is the outcome of a request to process an image.
type submission int

const (
	accepted submission = iota
	noSlot
	noCredits
)
