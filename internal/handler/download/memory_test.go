package download_test

import (
	"runtime"
	"sync"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler/download"
	"github.com/rs/zerolog"
)

// TestMemoryDoesNotDependOnTheImage counts what the process allocates for an image of
// 16 MiB, vendor included. It is not parallel, so that it counts only its own.
//
//nolint:paralleltest // see above
func TestMemoryDoesNotDependOnTheImage(t *testing.T) {
	const size, bound = 16 << 20, 4 << 20
	fx := newFixture(t, download.Config{MaxBytes: 2 * size, MaxPixels: size})
	e, _ := fx.event(t, fakevendortest.JobOptions{Bytes: size})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fx.handle(t, e)
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > bound {
		t.Errorf("allocated %d bytes for an image of %d, want at most %d", used, size, bound)
	}
}

// BenchmarkLargeImages stores eight images of 200 MB at once, and says how much memory the process took.
func BenchmarkLargeImages(b *testing.B) {
	const size, together = 200_000_000, 8
	vendor, err := fakevendortest.Start(b.Context(), fakevendortest.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = vendor.Close() }()
	b.SetBytes(size * together)
	for b.Loop() {
		b.StopTimer()
		made := newHandler(b, download.Config{MaxBytes: 2 * size, MaxPixels: size}, b.TempDir(), zerolog.Nop())
		events := make([]event.Event, together)
		for n := range events {
			job, err := vendor.NewJob(fakevendortest.JobOptions{Bytes: size, Seed: 1})
			if err != nil {
				b.Fatal(err)
			}
			events[n] = newEvent(b, vendor.Callback(job, "https://me/"), n)
		}
		b.StartTimer()
		var group sync.WaitGroup
		for _, e := range events {
			group.Go(func() {
				if _, err := made.Handle(b.Context(), e); err != nil {
					b.Error(err)
				}
			})
		}
		group.Wait()
		b.StopTimer()
		_ = made.Close()
		b.StartTimer()
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	b.ReportMetric(float64(memory.Sys)/(1<<20), "MiB-from-OS")
}
