package forward_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler/forward"
	"github.com/rs/zerolog"
)

// sink is a target that keeps nothing, and a handler that sends images of about so many bytes to it.
func sink(t testing.TB, mode string, size int64) (*fixture, *forward.Handler) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(io.Discard, r.Body); err != nil || n != r.ContentLength || n < size/2 {
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	t.Cleanup(server.Close)
	config := to(server.URL)
	config.Mode = mode
	must(t, config.MaxBytes.Decode("1GiB"))
	config.MaxPixels = 2 * size
	made := newFixture(t, zerolog.Nop())
	h := made.open(t, config)
	return made, h
}

// TestMemoryDoesNotDependOnTheImage counts what the process allocates for an image of
// 12 MiB, vendor and target included. It is not parallel, so that it counts only its own.
//
//nolint:paralleltest // see above
func TestMemoryDoesNotDependOnTheImage(t *testing.T) {
	const size, bound = 12 << 20, 4 << 20
	for mode, stored := range map[string]bool{"image": true, "raw": false} {
		fx, h := sink(t, mode, size)
		e, job := fx.event(t, fakevendortest.JobOptions{Bytes: size})
		if stored {
			e = fx.store(t, e, job)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := h.Handle(t.Context(), e)
		must(t, err)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > bound {
			t.Errorf("%s: allocated %d bytes for an image of %d, want at most %d", mode, used, size, bound)
		}
	}
}

// BenchmarkLargeImages sends eight images of 200 MB at once, fetched and stored, and says how much memory the process took.
func BenchmarkLargeImages(b *testing.B) {
	const size, together = 200_000_000, 8
	for _, stored := range []bool{false, true} {
		name := "fetched"
		if stored {
			name = "stored"
		}
		b.Run(name, func(b *testing.B) {
			fx, h := sink(b, "image", size)
			b.SetBytes(size * together)
			events := make([]event.Event, together)
			for n := range events {
				e, job := fx.event(b, fakevendortest.JobOptions{Bytes: size, Seed: 1})
				if events[n] = e; stored {
					events[n] = fx.store(b, e, job)
				}
			}
			for b.Loop() {
				var group sync.WaitGroup
				for _, e := range events {
					group.Go(func() {
						if _, err := h.Handle(b.Context(), e); err != nil {
							b.Error(err)
						}
					})
				}
				group.Wait()
			}
			var memory runtime.MemStats
			runtime.ReadMemStats(&memory)
			b.ReportMetric(float64(memory.Sys)/(1<<20), "MiB-from-OS")
		})
	}
}
