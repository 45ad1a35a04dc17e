package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/fetch"
)

const short = 50 * time.Millisecond

func TestServerThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	silent := func(conn net.Conn, _ int) { _, _ = io.Copy(io.Discard, conn) }
	for name, row := range map[string]struct {
		scheme string
		limits fetch.Limits
	}{
		"no header":    {scheme: "http", limits: fetch.Limits{Header: short}},
		"no handshake": {scheme: "https", limits: fetch.Limits{Handshake: short}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var address string
			if row.scheme == "http" {
				address = raw(t, silent)
			} else {
				address = silentListener(t)
			}
			_, _, err := get(t, newClient(t, atHome(), fetch.WithLimits(row.limits)), row.scheme+"://"+address)
			failed(t, err, fetch.KindTimeout)
		})
	}
}

// silentListener accepts connections into its backlog and sends nothing.
func silentListener(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

func TestDNSThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		context.AfterFunc(t.Context(), func() { _ = theirs.Close() })
		return ours, nil
	}}
	client := newClient(t, atHome(), fetch.WithResolver(resolver), fetch.WithLimits(fetch.Limits{Dial: short}))
	begun := time.Now()
	_, _, err := get(t, client, "https://slow.test/x.png")
	failed(t, err, fetch.KindTimeout)
	if waited := time.Since(begun); waited > 4*time.Second {
		t.Errorf("failed after %s, want less than the resolver's own timeout", waited)
	}
}

func TestStall(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write(noise(500))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	_, _, err := get(t, newClient(t, atHome(), fetch.WithLimits(fetch.Limits{Stall: short})), server.URL)
	if failure := failed(t, err, fetch.KindTimeout); !errors.Is(failure, fetch.ErrStalled) {
		t.Errorf("error = %v, want one that wraps %v", failure, fetch.ErrStalled)
	}
}

func TestStalledTransferIsContinued(t *testing.T) {
	t.Parallel()
	want := noise(1000)
	var requests atomic.Int32
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		if requests.Add(1) > 1 {
			http.ServeContent(w, r, "x.png", time.Time{}, bytes.NewReader(want))
			return
		}
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write(want[:500])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	content, file, err := get(t, newClient(t, atHome(), fetch.WithLimits(fetch.Limits{Stall: short})), server.URL)
	if err != nil || !bytes.Equal(content, want) || file.Resumed != 1 {
		t.Errorf("got %d bytes, %+v, error %v, want the file after 1 resume", len(content), file, err)
	}
}

// TestSlowServer has a server send single bytes as fast as it can: it does not stall, but is below the minimum throughput.
func TestSlowServer(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.Header().Set("ETag", `"v1"`)
		w.Header().Set("Content-Length", "1000000")
		for range 1_000_000 {
			if _, err := w.Write([]byte{1}); err != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
	})
	client := newClient(t, atHome(), fetch.WithLimits(fetch.Limits{Window: short, Speed: 1 << 30}))
	_, _, err := get(t, client, server.URL)
	if failure := failed(t, err, fetch.KindTimeout); !errors.Is(failure, fetch.ErrSlow) {
		t.Errorf("error = %v, want one that wraps %v", failure, fetch.ErrSlow)
	}
	if requests.Load() != 1 {
		t.Errorf("requests to a slow server = %d, want 1", requests.Load())
	}
}

// slowWriter takes longer for a write than the server may for a read.
type slowWriter struct{ pause time.Duration }

func (w slowWriter) Write(piece []byte) (int, error) {
	timer := time.NewTimer(w.pause)
	defer timer.Stop()
	<-timer.C
	return len(piece), nil
}

func TestSlowWriterIsNoStall(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(noise(100_000)) })
	limits := fetch.Limits{Stall: short, Window: short, Speed: 100_000}
	client := newClient(t, atHome(), fetch.WithLimits(limits))
	file, err := client.GetCounted(t.Context(), fetch.Request{URL: server.URL, MaxBytes: 100_000}, slowWriter{2 * short})
	if err != nil || file.Bytes != 100_000 {
		t.Errorf("got %d bytes, error %v, want 100000", file.Bytes, err)
	}
}

func TestZeroIsTheDefault(t *testing.T) {
	t.Parallel()
	if got, want := fetch.StallTimeout(fetch.Config{}), 30*time.Second; got != want {
		t.Errorf("stall timeout = %s, want %s", got, want)
	}
	if got, want := fetch.MinBytesPerSecond(fetch.Config{}), int64(4096); got != want {
		t.Errorf("minimum throughput = %d, want %d", got, want)
	}
}
