package fakevendor

import "sync"

// plan hands out mishaps, request by request: each until it has hit as often as it
// should, then the next, in the end none.
type plan[M any] struct {
	mutex   sync.Mutex
	mishaps []M
	times   func(*M) *int // how often one is still to hit; 0 is every time
}

// next is the mishap of the next request, its zero value when there is none. It takes the first
// that is wanted.
func (p *plan[M]) next(wanted func(M) bool) (mishap M) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for n := range p.mishaps {
		if !wanted(p.mishaps[n]) {
			continue
		}
		mishap = p.mishaps[n]
		switch times := p.times(&p.mishaps[n]); *times {
		case 0: // every request
		case 1:
			p.mishaps = append(p.mishaps[:n], p.mishaps[n+1:]...)
		default:
			*times--
		}
		return mishap
	}
	return mishap
}

// add puts mishaps behind those that are due before.
func (p *plan[M]) add(mishaps ...M) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.mishaps = append(p.mishaps, mishaps...)
}
