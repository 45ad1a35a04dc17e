package fakevendortest

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// Flapping are the shares of API calls that fail, each from 0 to 1. The n-th call of a kind always has the same
// outcome with the same seed. Planned faults go first.
type Flapping struct {
	Seed  uint64
	Fail  float64       // 503
	Limit float64       // the documented 429, without Retry-After
	Drop  float64       // the connection is cut
	Slow  float64       // answers after Pause
	Pause time.Duration // for Slow
}

// Flap makes the API fail by chance from now on; the zero value ends it.
func (v *Vendor) Flap(flapping Flapping) error {
	if err := checkShares(flapping.Fail, flapping.Limit, flapping.Drop, flapping.Slow); err != nil {
		return fmt.Errorf("fakevendortest: flap: %w", err)
	}
	if flapping.Slow > 0 && flapping.Pause <= 0 {
		return errors.New("fakevendortest: flap: slow without a pause")
	}
	v.mutex.Lock()
	defer v.mutex.Unlock()
	v.flaps = flapping
	return nil
}

func (v *Vendor) flapping() Flapping {
	v.mutex.RLock()
	defer v.mutex.RUnlock()
	return v.flaps
}

// fault returns the fault of the n-th call of a kind.
func (f Flapping) fault(call Call, n int64) APIFault {
	if f == (Flapping{}) {
		return APIFault{}
	}
	kind := fnv.New64a()
	_, _ = kind.Write([]byte(call)) // never fails
	left := rand.New(rand.NewPCG(f.Seed^kind.Sum64(), uint64(n))).Float64()
	for _, chance := range []struct {
		share float64
		fault APIFault
	}{
		{f.Fail, APIFault{Kind: Refuse, Message: "Service Unavailable"}},
		{f.Limit, APIFault{Kind: Limit}},
		{f.Drop, APIFault{Kind: Drop}},
		{f.Slow, APIFault{Kind: Delay, Pause: f.Pause}},
	} {
		if left -= chance.share; left < 0 {
			return chance.fault
		}
	}
	return APIFault{}
}

// Chances are the shares of callbacks with a fault, each from 0 to 1. The n-th job of a delivery always has the same
// outcome with the same seed.
type Chances struct {
	Seed        uint64
	Lose        float64       // nothing is sent for the job
	Double      float64       // one more copy is sent
	Delay       float64       // sent after the others, by up to MaxDelay
	MaxDelay    time.Duration // for Delay
	Forge       float64       // a forger sends one more, of a job that the API does not know
	Impersonate float64       // a forger sends one more, of this job with another address
}

// fate is the outcome for one job.
type fate struct {
	lost, doubled, forged, impersonated bool
	delay                               time.Duration
}

// of returns the fate of the n-th job. Every chance is drawn, so that a change of one does not change the others.
func (c Chances) of(n int) fate {
	random := rand.New(rand.NewPCG(c.Seed, uint64(n)))
	happens := func(share float64) bool { return random.Float64() < share }
	decided := fate{lost: happens(c.Lose), doubled: happens(c.Double), forged: happens(c.Forge), impersonated: happens(c.Impersonate)}
	late := happens(c.Delay)
	if part := random.Float64(); late {
		decided.delay = max(1, time.Duration(part*float64(c.MaxDelay)))
	}
	return decided
}

func checkShares(shares ...float64) error {
	for _, share := range shares {
		if !(share >= 0 && share <= 1) {
			return fmt.Errorf("a share of %v", share)
		}
	}
	return nil
}
