package fakevendortest

import "sync"

// faultPlan returns a fault for each request: each as often as it says, then the next, in the end none.
type faultPlan[F any] struct {
	mutex  sync.Mutex
	faults []F
	times  func(*F) *int // how many requests remain for one; 0 is no limit
}

// next returns the fault of the next request, the first that is wanted. It is zero when there is none.
func (p *faultPlan[F]) next(wanted func(F) bool) (fault F) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for n := range p.faults {
		if !wanted(p.faults[n]) {
			continue
		}
		fault = p.faults[n]
		switch times := p.times(&p.faults[n]); *times {
		case 0: // every request
		case 1:
			p.faults = append(p.faults[:n], p.faults[n+1:]...)
		default:
			*times--
		}
		return fault
	}
	return fault
}

// add appends faults.
func (p *faultPlan[F]) add(faults ...F) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.faults = append(p.faults, faults...)
}
