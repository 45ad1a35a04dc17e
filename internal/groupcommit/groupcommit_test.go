package groupcommit_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deepimage-receiver/receiver/internal/groupcommit"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder records the batches of its writes. Each write waits for its result.
type recorder struct {
	batches [][]int
	proceed chan error // results of write
}

func newRecorder() *recorder {
	return &recorder{proceed: make(chan error, 100)}
}

func (r *recorder) write(batch []int) error {
	r.batches = append(r.batches, append([]int(nil), batch...))
	return <-r.proceed
}

// wantBatches compares the entries of the batches.
func (r *recorder) wantBatches(t *testing.T, want ...[]int) {
	t.Helper()
	if diff := cmp.Diff(want, r.batches); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
}

func limits(entries int) groupcommit.Limits {
	return groupcommit.Limits{Entries: entries, Wait: time.Minute, Writers: 1}
}

// TestSharedWrite commits entries while a batch is written: they become the next one.
func TestSharedWrite(t *testing.T) {
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
		r.wantBatches(t, []int{0}, []int{1, 2, 3, 4}, []int{5})
	})
}

func TestLimitOfBytes(t *testing.T) {
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
		r.wantBatches(t, []int{1}, []int{6, 6}, []int{6})
	})
}

func TestResult(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is gone")
	r := newRecorder()
	c := groupcommit.Start(limits(4), nil, r.write)
	defer c.Stop()
	for _, want := range []error{nil, broken, nil} {
		r.proceed <- want
		if err := c.Commit(t.Context(), 1); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("Commit = %v, want %v", err, want)
		}
	}
}

// TestAbandonedEntry has callers that are cancelled or time out. An entry whose write has not begun is not written.
func TestAbandonedEntry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		c := groupcommit.Start(limits(1), nil, r.write)
		var group sync.WaitGroup
		cancelled, cancel := context.WithCancel(t.Context())
		group.Go(func() {
			if err := c.Commit(cancelled, 1); err != nil {
				t.Errorf("Commit with a context that is cancelled during the write = %v, want nil", err)
			}
		})
		synctest.Wait()
		group.Go(func() {
			limited, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := c.Commit(limited, 2); !errors.Is(err, groupcommit.ErrTimeout) {
				t.Errorf("Commit beyond its deadline = %v, want %v", err, groupcommit.ErrTimeout)
			}
		})
		synctest.Wait()
		cancel()
		if err := c.Commit(cancelled, 3); !errors.Is(err, context.Canceled) {
			t.Errorf("Commit with a cancelled context = %v, want %v", err, context.Canceled)
		}
		time.Sleep(2 * time.Second) //nolint:forbidigo // on the bubble's clock
		r.proceed <- nil
		group.Wait()
		c.Stop()
		r.wantBatches(t, []int{1})
	})
}

func TestStopWritesQueuedEntries(t *testing.T) {
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
			t.Errorf("Commit after Stop = %v, want %v", err, groupcommit.ErrClosed)
		}
		r.proceed <- nil
		r.proceed <- nil
		group.Wait()
		c.Stop() // changes nothing
	})
}
