package queue

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/riverqueue/river/riverdriver"
)

const (
	// insertTopic is the topic of River's notices about new jobs.
	insertTopic = "river_insert"
	// maxNotices bounds the notices that wait. A look at the queue finds the jobs of one that is left out.
	maxNotices = 1000
)

// notices passes River's notices within this process. Those of a transaction are delivered when it is committed. SQLite has one writer,
// so that one transaction is open at a time.
type notices struct {
	mutex   sync.Mutex
	pending []riverdriver.Notification // of the open transaction
	ready   []riverdriver.Notification
	snoozed []snoozedJob
	wake    chan struct{}
}

// snoozedJob is a job that is announced again when it is due.
type snoozedJob struct {
	queue string
	at    time.Time
}

func newNotices() *notices { return &notices{wake: make(chan struct{}, 1)} }

// announce adds a notice for each queue that gets a job in the open transaction. River would leave out those that soon follow another.
func (n *notices) announce(jobs []Job) {
	for _, job := range jobs {
		n.add(insertNotice(job.Handler))
	}
}

func insertNotice(queue string) riverdriver.Notification {
	return riverdriver.Notification{Topic: insertTopic, Payload: fmt.Sprintf(`{"queue": %q}`, queue)}
}

// add adds a notice of the open transaction.
func (n *notices) add(notice riverdriver.Notification) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.pending = with(n.pending, notice)
}

// with adds a notice to a list that does not have it.
func with(list []riverdriver.Notification, notice riverdriver.Notification) []riverdriver.Notification {
	if len(list) >= maxNotices || slices.Contains(list, notice) {
		return list
	}
	return append(list, notice)
}

// end delivers the notices of a transaction, or drops them if it was rolled back.
func (n *notices) end(committed bool) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if committed && len(n.pending) > 0 {
		n.deliver(n.pending...)
	}
	n.pending = n.pending[:0]
}

// expect announces a job of a queue at the time when it is due.
func (n *notices) expect(queue string, at time.Time) {
	const rounding = 2 * time.Millisecond // River stores times in milliseconds
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if len(n.snoozed) < maxNotices {
		n.snoozed = append(n.snoozed, snoozedJob{queue, at.Add(rounding)})
		n.signal()
	}
}

// deliver must be called with the mutex held.
func (n *notices) deliver(list ...riverdriver.Notification) {
	for _, notice := range list {
		n.ready = with(n.ready, notice)
	}
	n.signal()
}

func (n *notices) signal() {
	select {
	case n.wake <- struct{}{}:
	default: // is awake
	}
}

// next returns the next notice, or the time until there may be one; less than zero if none is expected.
func (n *notices) next(now time.Time) (notice riverdriver.Notification, ok bool, wait time.Duration) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	wait = -1
	n.snoozed = slices.DeleteFunc(n.snoozed, func(job snoozedJob) bool {
		left := job.at.Sub(now)
		if left <= 0 {
			n.ready = with(n.ready, insertNotice(job.queue))
			return true
		}
		if wait < 0 || left < wait {
			wait = left
		}
		return false
	})
	if len(n.ready) == 0 {
		return notice, false, wait
	}
	notice = n.ready[0]
	n.ready = slices.Delete(n.ready, 0, 1)
	return notice, true, 0
}

// wait returns the next notice.
func (n *notices) wait(ctx context.Context) (riverdriver.Notification, error) {
	for {
		notice, ok, wait := n.next(time.Now())
		if ok {
			return notice, nil
		}
		if err := n.sleep(ctx, wait); err != nil {
			return notice, err
		}
	}
}

// sleep waits for a signal, and if the time is not less than zero no longer than that.
func (n *notices) sleep(ctx context.Context, longest time.Duration) error {
	var due <-chan time.Time
	if longest >= 0 {
		timer := time.NewTimer(longest)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-n.wake:
		return nil
	case <-due:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
