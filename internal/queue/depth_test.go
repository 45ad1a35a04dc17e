package queue_test

import (
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/queue"
)

// Depths counts jobs that are ready and those that are scheduled for later, and no finished ones.
func TestDepths(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		q := open(t, place, 1)
		q.insert(t, "a", "b", "c", "d")
		q.exec(t, "UPDATE river_job SET state = 'scheduled' WHERE args ->> 'event' = 'b'")
		q.exec(t, "UPDATE river_job SET state = 'completed', finalized_at = scheduled_at WHERE args ->> 'event' = 'c'")
		depths, err := q.Depths(t.Context())
		if want := (queue.Depth{Ready: 2, Scheduled: 1}); err != nil || len(depths) != 1 || depths["download"] != want {
			t.Errorf("depths = %+v, error %v; want %+v of download", depths, err, want)
		}
	})
}
