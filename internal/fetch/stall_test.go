package fetch_test

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deepimage-receiver/receiver/internal/fetch"
)

// piece is what one read of a script brings, after a while.
type piece struct {
	bytes int
	after time.Duration
}

// script is a body that keeps to a timetable.
type script []piece

func (s *script) Read(buffer []byte) (int, error) {
	if len(*s) == 0 {
		return 0, io.EOF
	}
	next := (*s)[0]
	*s = (*s)[1:]
	<-time.After(next.after) // on the bubble's clock
	return min(next.bytes, len(buffer)), nil
}

func times(count, bytes int, after time.Duration) script {
	pieces := make(script, count)
	for i := range pieces {
		pieces[i] = piece{bytes, after}
	}
	return pieces
}

// TestWatch demands 100 bytes a second over 10 seconds, and one read in 5.
func TestWatch(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		body script
		want error
	}{
		"fast":                         {times(100, 1000, time.Second), nil},
		"just fast enough":             {times(100, 100, time.Second), nil},
		"just too slow":                {times(100, 99, time.Second), fetch.ErrSlow},
		"in bursts":                    {append(times(30, 0, time.Second/4), times(40, 1000, time.Second/4)...), nil},
		"fast at first, then slow":     {append(times(100, 1000, time.Second), times(11, 1, time.Second)...), fetch.ErrSlow},
		"slow, but over in time":       {times(9, 1, time.Second), nil},
		"long pauses, but not too":     {times(10, 1000, 4*time.Second), nil},
		"one pause too long":           {append(times(10, 1000, time.Second), piece{1000, 6 * time.Second}, piece{1000, 0}), fetch.ErrStalled},
		"one pause too long, at first": {times(2, 1000, 6*time.Second), fetch.ErrStalled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				limits := fetch.Limits{Stall: 5 * time.Second, Window: 10 * time.Second, Speed: 100}
				if err := fetch.ReadGuarded(t.Context(), limits, &row.body); !errors.Is(err, row.want) {
					t.Errorf("got %v, want %v", err, row.want)
				}
			})
		})
	}
}
