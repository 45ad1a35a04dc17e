package fetch_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
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
		"no header":    {"http", fetch.Limits{Header: short}},
		"no handshake": {"https", fetch.Limits{Handshake: short}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var address string
			if row.scheme == "http" {
				address = raw(t, silent)
			} else {
				address = mute(t)
			}
			_, _, err := get(t, newClient(t, atHome(), fetch.WithLimits(row.limits)), row.scheme+"://"+address)
			if failure := failed(t, err, fetch.KindTimeout); !strings.Contains(failure.Text, "did not answer in time") {
				t.Errorf("got %q", failure.Text)
			}
		})
	}
}

// mute accepts connections into its backlog and never says a word.
func mute(t *testing.T) string {
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
		t.Errorf("gave up after %s, which is the resolver's own patience", waited)
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
	if failure := failed(t, err, fetch.KindTimeout); !strings.Contains(failure.Text, "stopped sending") {
		t.Errorf("got %q", failure.Text)
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
		t.Errorf("got %d bytes, %+v, %v", len(content), file, err)
	}
}

// TestCrawl has a server send single bytes as fast as it can, which never stalls and
// is still far from the demanded gigabyte a second.
func TestCrawl(t *testing.T) {
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
	if failure := failed(t, err, fetch.KindTimeout); !strings.Contains(failure.Text, "less than 1073741824 bytes a second") {
		t.Errorf("got %q", failure.Text)
	}
	if requests.Load() != 1 {
		t.Errorf("asked a slow server %d times", requests.Load())
	}
}

// slowWriter is a disk that takes longer than the server may.
type slowWriter struct{ pause time.Duration }

func (w slowWriter) Write(piece []byte) (int, error) {
	timer := time.NewTimer(w.pause)
	defer timer.Stop()
	<-timer.C
	return len(piece), nil
}

func TestSlowDiskIsNotTheServersFault(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(noise(100_000)) })
	limits := fetch.Limits{Stall: short, Window: short, Speed: 100_000}
	client := newClient(t, atHome(), fetch.WithLimits(limits))
	file, err := client.GetCounted(t.Context(), fetch.Request{URL: server.URL, MaxBytes: 100_000}, slowWriter{2 * short})
	if err != nil || file.Bytes != 100_000 {
		t.Errorf("got %d bytes, %v", file.Bytes, err)
	}
}

// TestZeroIsTheDefault compares what New takes for zero with what people are told.
func TestZeroIsTheDefault(t *testing.T) {
	t.Parallel()
	told := func(field string) string {
		described, _ := reflect.TypeFor[fetch.Config]().FieldByName(field)
		return described.Tag.Get("default")
	}
	if want, err := time.ParseDuration(told("StallTimeout")); err != nil || fetch.StallTimeout(fetch.Config{}) != want {
		t.Errorf("zero stands for %s, want %s", fetch.StallTimeout(fetch.Config{}), want)
	}
	var want configtypes.Size
	if err := want.Decode(told("MinBytesPerSecond")); err != nil || fetch.MinBytesPerSecond(fetch.Config{}) != int64(want) {
		t.Errorf("zero stands for %d, want %d", fetch.MinBytesPerSecond(fetch.Config{}), want)
	}
}
