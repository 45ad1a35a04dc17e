package fakevendortest

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/fakevendor"
)

// Delivery is the outcome of one callback.
type Delivery struct {
	Job      Job
	Copy     int           // 0 for the first callback of the job, 1 for its repeat, and so on
	Lost     bool          // nothing was sent, by chance
	Forged   bool          // sent by a forger: an invented job, or the id of a real one with an invented address
	Late     time.Duration // delay before the first attempt
	Attempts int
	Answer   Answer // the last one
	Err      error  // why there is no accepted answer; nil if there is one, or it was lost
}

// Plan says how callbacks are delivered; the zero value is each once, in order, one attempt.
type Plan struct {
	Copies      int            // callbacks per job; 0 is 1
	Attempts    int            // per callback, at most 20; 0 is 1
	Concurrency int            // deliveries at the same time, at most 256; 0 is 1
	Shuffle     uint64         // not 0: out of order, as this seed says
	Chances     Chances        // faults on their way
	Delivered   func(Delivery) // called as each ends, but the lost, from several goroutines; may be nil
}

// Deliver sends the callbacks of jobs to webhook and returns the outcomes in the order of the plan. It returns when
// all have ended; the context ends them early.
func (v *Vendor) Deliver(ctx context.Context, webhook string, plan Plan, jobs ...Job) []Delivery {
	return v.deliverFrom(ctx, webhook, plan, 0, jobs)
}

// deliverFrom is Deliver for jobs whose chances begin with the n-th.
func (v *Vendor) deliverFrom(ctx context.Context, webhook string, plan Plan, n int, jobs []Job) []Delivery {
	deliveries := v.layOut(plan, n, jobs)
	order := make([]*Delivery, 0, len(deliveries))
	for n := range deliveries {
		if d := &deliveries[n]; !d.Lost && d.Err == nil {
			order = append(order, d)
		}
	}
	// Delayed callbacks wait for their time before they wait for a slot, so that they do not block others.
	slices.SortStableFunc(order, func(a, b *Delivery) int { return cmp.Compare(a.Late, b.Late) })
	slots := make(chan struct{}, min(max(plan.Concurrency, 1), fakevendor.MaxConnections))
	var sending sync.WaitGroup
	begun := time.Now()
	for _, d := range order {
		if left := time.Until(begun.Add(d.Late)); d.Late > 0 && left > 0 {
			_ = background.Sleep(ctx, left) // the send says that the context ended
		}
		slots <- struct{}{}
		sending.Go(func() {
			defer func() { <-slots }()
			sent := v.DeliverJob(ctx, webhook, plan.Attempts, d.Job)
			d.Attempts, d.Answer, d.Err = sent.Attempts, sent.Answer, sent.Err
			if plan.Delivered != nil {
				plan.Delivered(*d)
			}
		})
	}
	sending.Wait()
	return deliveries
}

// layOut returns the deliveries of a plan.
func (v *Vendor) layOut(plan Plan, first int, jobs []Job) []Delivery {
	var laid []Delivery
	for n, job := range jobs {
		decided := plan.Chances.of(first + n)
		copies := max(plan.Copies, 1)
		if decided.doubled {
			copies++
		}
		if decided.lost {
			copies = 1
		}
		for n := range copies {
			laid = append(laid, Delivery{Job: job, Copy: n, Lost: decided.lost, Late: decided.delay})
		}
		if decided.forged {
			laid = append(laid, forgery(v.Forge()))
		}
		if decided.impersonated {
			laid = append(laid, forgery(v.Impersonate(job)))
		}
	}
	if plan.Shuffle != 0 {
		random := rand.New(rand.NewPCG(plan.Shuffle, 0))
		random.Shuffle(len(laid), func(a, b int) { laid[a], laid[b] = laid[b], laid[a] })
	}
	return laid
}

func forgery(made Job, err error) Delivery { return Delivery{Job: made, Forged: true, Err: err} }
