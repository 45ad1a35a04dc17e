package fakevendor

import (
	"context"
	"math/rand/v2"
	"sync"
)

// Delivery is the outcome of one callback.
type Delivery struct {
	Job      Job
	Attempts int
	Answer   Answer // the last one
	Err      error  // nil if the callback was accepted
}

// Plan says how callbacks are delivered; the zero value is in order, one attempt each.
type Plan struct {
	Attempts    int    // per callback, at most 20; 0 is 1
	Concurrency int    // simultaneous deliveries, at most 256; 0 is 1
	Shuffle     uint64 // seed of a random order; 0 keeps the order
}

// Deliver sends the callbacks of jobs to webhook and returns when all have ended. The context ends them early.
func (v *Vendor) Deliver(ctx context.Context, webhook string, plan Plan, jobs ...Job) []Delivery {
	order := make([]int, len(jobs))
	for n := range order {
		order[n] = n
	}
	if plan.Shuffle != 0 {
		random := rand.New(rand.NewPCG(plan.Shuffle, 0))
		random.Shuffle(len(order), func(a, b int) { order[a], order[b] = order[b], order[a] })
	}
	deliveries := make([]Delivery, len(jobs))
	slots := make(chan struct{}, min(max(plan.Concurrency, 1), MaxConnections))
	var sending sync.WaitGroup
	for _, n := range order {
		slots <- struct{}{}
		sending.Go(func() {
			defer func() { <-slots }()
			deliveries[n] = v.DeliverJob(ctx, webhook, plan.Attempts, jobs[n])
		})
	}
	sending.Wait()
	return deliveries
}
