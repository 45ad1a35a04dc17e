package admin_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/background"
)

// A scrape gets the last measurement if a new one takes long, and counts nothing itself.
func TestMeasurer(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name      string
		took      time.Duration // of a measurement
		fails     bool
		after     time.Duration // pause before the scrape
		want      int64         // backlog of the measurement that the scrape gets; each one has one more
		ok        bool
		waits     time.Duration
		measuring int64 // measurements in all after the scrape
	}{
		{name: "first", took: time.Second, want: 1, ok: true, waits: time.Second, measuring: 1},
		{name: "first takes too long", took: 10 * time.Second, waits: admin.CollectTimeout, measuring: 1},
		{name: "valid", took: time.Second, after: 19 * time.Second, want: 1, ok: true, measuring: 1},
		{name: "small store", took: 10 * time.Millisecond, after: time.Minute, want: 2, ok: true, waits: 10 * time.Millisecond, measuring: 2},
		{name: "large store", took: time.Second, after: time.Minute, want: 1, ok: true, waits: admin.MeasureWait, measuring: 2},
		{name: "failure", took: time.Second, fails: true, after: 2 * time.Second, waits: admin.MeasureWait, measuring: 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				measured := int64(0)
				m := admin.NewTestMeasurer(func(ctx context.Context) (int64, error) {
					measured++
					n := measured
					if row.fails {
						return n, errors.Join(background.Sleep(ctx, row.took), errors.New("no store"))
					}
					return n, background.Sleep(ctx, row.took)
				})
				m.Start()
				if row.after > 0 {
					m.LatestBacklog(t.Context())
				}
				if err := background.Sleep(t.Context(), row.after); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), admin.CollectTimeout)
				defer cancel()
				begun := time.Now()
				got, ok := m.LatestBacklog(ctx)
				if waited := time.Since(begun); ok != row.ok || waited != row.waits || got != row.want {
					t.Errorf("latest = %d, %t after %s; want %d, %t after %s", got, ok, waited, row.want, row.ok, row.waits)
				}
				if err := m.Stop(t.Context()); err != nil || measured != row.measuring {
					t.Errorf("stop = %v after %d measurements, want %d", err, measured, row.measuring)
				}
			})
		})
	}
}
