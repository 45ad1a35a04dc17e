package fetch_test

import (
	"io"
	"net/http"
	"runtime"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/fetch"
)

// TestMemoryDoesNotDependOnTheFile counts what the process allocates for a file of
// 64 MiB, server included. It is not parallel, so that it counts its own memory only.
func TestMemoryDoesNotDependOnTheFile(t *testing.T) {
	const size, bound = 64 << 20, 4 << 20
	piece := noise(64 << 10)
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for range size / len(piece) {
			_, _ = w.Write(piece)
		}
	})
	client := newClient(t, atHome())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	file, err := client.GetCounted(t.Context(), fetch.Request{URL: server.URL, MaxBytes: size}, io.Discard)
	runtime.ReadMemStats(&after)
	if err != nil || file.Bytes != size {
		t.Fatalf("got %d bytes, error %v, want %d", file.Bytes, err, size)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > bound {
		t.Errorf("allocated %d bytes for a file of %d, want at most %d", used, size, bound)
	}
}
