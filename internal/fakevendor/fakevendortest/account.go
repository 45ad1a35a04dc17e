package fakevendortest

import "sync"

// account is what the plan allows.
type account struct {
	mutex   sync.Mutex
	slots   int // jobs that may be under way at the same time
	credits int
	busy    int
	jobs    int // submitted so far
}

// take begins a job and gives its number, from 0. It says why there is none.
func (a *account) take() (number int, refused submission) {
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
	return a.jobs - 1, taken
}

// give ends a job.
func (a *account) give() {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.busy--
}

func (a *account) left() int {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.credits
}

// submission is what becomes of a request to process an image.
type submission int

const (
	taken submission = iota
	noSlot
	noCredits
)
