package groupcommit_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deepimage-receiver/receiver/internal/groupcommit"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a store that keeps the batches it was given; it can be made to hang.
type recorder struct {
	batches [][]int
	begun   chan struct{}
	proceed chan error // what write returns
}

func newRecorder() *recorder {
	return &recorder{begun: make(chan struct{}, 100), proceed: make(chan error, 100)}
}

func (r *recorder) write(batch []int) error {
	r.batches = append(r.batches, append([]int(nil), batch...))
	r.begun <- struct{}{}
	return <-r.proceed
}

func limits(entries int) groupcommit.Limits {
	return groupcommit.Limits{Entries: entries, Wait: time.Minute, Writers: 1}
}

// While one batch is written, those who come meanwhile become the next one.
func TestThoseWhoWaitShareAWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		c := groupcommit.Start(limits(4), nil, r.write)
		var group sync.WaitGroup
		commit := func(n int) {
			group.Go(func() {
				if err := c.Commit(t.Context(), n); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		for n := range 6 {
			commit(n)
		}
		for range 3 {
			r.proceed <- nil
		}
		group.Wait()
		c.Stop()
		if len(r.batches) != 3 || len(r.batches[0]) != 1 || len(r.batches[1]) != 4 || len(r.batches[2]) != 1 {
			t.Errorf("batches %v", r.batches)
		}
	})
}

func TestBytesBoundABatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		c := groupcommit.Start(groupcommit.Limits{Entries: 100, Bytes: 10, Wait: time.Minute, Writers: 1}, func(n int) int { return n }, r.write)
		var group sync.WaitGroup
		for _, n := range []int{1, 6, 6, 6} {
			group.Go(func() { _ = c.Commit(t.Context(), n) })
			synctest.Wait()
		}
		for range 3 {
			r.proceed <- nil
		}
		group.Wait()
		c.Stop()
		if len(r.batches) != 3 || len(r.batches[1]) != 2 {
			t.Errorf("batches %v", r.batches)
		}
	})
}

func TestOutcomeIsThatOfTheBatch(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is gone")
	r := newRecorder()
	c := groupcommit.Start(limits(4), nil, r.write)
	defer c.Stop()
	for _, want := range []error{nil, broken, nil} {
		r.proceed <- want
		if err := c.Commit(t.Context(), 1); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
}

// The context counts until an entry is queued, then only its deadline; what is
// given up before it is begun is not written.
func TestGivingUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		c := groupcommit.Start(limits(1), nil, r.write)
		var group sync.WaitGroup
		cancelled, cancel := context.WithCancel(t.Context())
		group.Go(func() {
			if err := c.Commit(cancelled, 1); err != nil {
				t.Errorf("cancelled while it was written: %v", err)
			}
		})
		synctest.Wait()
		group.Go(func() {
			limited, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := c.Commit(limited, 2); !errors.Is(err, groupcommit.ErrTimeout) {
				t.Errorf("past its deadline: %v", err)
			}
		})
		synctest.Wait()
		cancel()
		if err := c.Commit(cancelled, 3); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled before: %v", err)
		}
		time.Sleep(2 * time.Second) //nolint:forbidigo // on the bubble's clock
		r.proceed <- nil
		group.Wait()
		c.Stop()
		if len(r.batches) != 1 {
			t.Errorf("batches %v", r.batches)
		}
	})
}

func TestStopSettlesWhatIsQueued(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		c := groupcommit.Start(limits(4), nil, r.write)
		var group sync.WaitGroup
		for n := range 3 {
			group.Go(func() {
				if err := c.Commit(t.Context(), n); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		group.Go(c.Stop)
		synctest.Wait()
		if err := c.Commit(t.Context(), 9); !errors.Is(err, groupcommit.ErrClosed) {
			t.Errorf("after the stop: %v", err)
		}
		r.proceed <- nil
		r.proceed <- nil
		group.Wait()
		c.Stop() // once more is no harm
	})
}
