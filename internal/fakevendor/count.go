package fakevendor

import "sync"

// tally counts calls of the API by their kind.
type tally struct {
	mutex sync.Mutex
	calls map[Call]int64
}

// count counts one call in and gives its number, from 1.
func (t *tally) count(call Call) int64 {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.calls[call]++
	return t.calls[call]
}

func (t *tally) of(call Call) int64 {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.calls[call]
}

// Calls counts how often the API was called so, whatever it answered.
func (v *Vendor) Calls(call Call) int64 { return v.calls.of(call) }

// Looks counts the calls of the API about one job.
func (v *Vendor) Looks(id string) int64 {
	if found := v.job(id); found != nil {
		return found.looks.Load()
	}
	return 0
}
