package inbox_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// The outbox has the bytes of all bodies that wait, originals included, and the time of the oldest.
func TestOutbox(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := open(t, place, defaults())
		if bytes, oldest, err := s.Outbox(t.Context()); bytes != 0 || !oldest.IsZero() || err != nil {
			t.Errorf("empty outbox = %d bytes, oldest %s, error %v; want nothing", bytes, oldest, err)
		}
		first := time.Now().Add(-time.Hour).UTC().Truncate(time.Microsecond)
		var want int64
		for n := range 3 {
			e := sample(fmt.Sprint("job-", n), "https://a/1.png")
			e.Received = first.Add(time.Duration(n) * time.Minute)
			if n == 2 {
				e.Original = &event.Original{ContentEncoding: "gzip", Body: []byte("compressed")}
				want += int64(len(e.Original.Body))
			}
			want += int64(len(e.Body))
			accept(t, s, e)
		}
		if bytes, oldest, err := s.Outbox(t.Context()); bytes != want || !oldest.Equal(first) || err != nil {
			t.Errorf("outbox = %d bytes, oldest %s, error %v; want %d, %s", bytes, oldest, err, want, first)
		}
		if at := s.LastCommit(); time.Since(at) > time.Minute {
			t.Errorf("last commit = %s, want now", at)
		}
	})
}
