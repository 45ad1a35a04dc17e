package fetch_test

import (
	"bytes"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/fetch"
)

func TestHTTP2ThatFails(t *testing.T) {
	t.Parallel()
	want := noise(300_000)
	for _, row := range []struct {
		name  string
		after int  // bytes, of which each stream is reset; -1 is before the header section
		etag  bool // the transfer can be resumed
		gets  int  // attempts until the file is whole
	}{
		{name: "B7 each stream is reset before its header section", after: -1, gets: 1},
		{name: "B7 each stream is reset at half, with an ETag", after: len(want) / 2, etag: true, gets: 1},
		{name: "B7 each stream is reset at half, without an ETag", after: len(want) / 2, gets: 3},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var http2, http1 atomic.Int32
			server, roots := secureServer(t, true, nil, func(w http.ResponseWriter, r *http.Request) {
				if r.ProtoMajor == 2 && row.after < 0 {
					http2.Add(1)
					panic(http.ErrAbortHandler)
				}
				if row.etag {
					w.Header().Set("ETag", `"same"`)
				}
				from := 0
				if value := r.Header.Get("Range"); value != "" {
					from, _ = strconv.Atoi(value[len("bytes=") : len(value)-1])
					w.Header().Set("Content-Range", "bytes "+strconv.Itoa(from)+"-"+strconv.Itoa(len(want)-1)+"/"+strconv.Itoa(len(want)))
				}
				w.Header().Set("Content-Length", strconv.Itoa(len(want)-from))
				if from > 0 {
					w.WriteHeader(http.StatusPartialContent)
				}
				if r.ProtoMajor == 2 {
					http2.Add(1)
					_, _ = w.Write(want[from:max(from, row.after)])
					_ = http.NewResponseController(w).Flush()
					panic(http.ErrAbortHandler)
				}
				http1.Add(1)
				_, _ = w.Write(want[from:])
			})
			client := newClient(t, atHome(), fetch.WithRootCAs(roots))
			var content []byte
			var err error
			for range row.gets {
				content, _, err = get(t, client, server.URL)
			}
			if err != nil || !bytes.Equal(content, want) {
				t.Fatalf("got %d bytes, error %v, want %d", len(content), err, len(want))
			}
			if http2.Load() != 2 || http1.Load() != 1 {
				t.Errorf("requests by HTTP/2 = %d, by HTTP/1.1 = %d, want 2 and 1", http2.Load(), http1.Load())
			}
			if _, _, err = get(t, client, server.URL); err != nil || http2.Load() != 2 {
				t.Errorf("next file: error %v, requests by HTTP/2 = %d, want none and 2", err, http2.Load())
			}
		})
	}
}

// A host that does not answer is asked once in an attempt, whatever the protocol.
func TestHTTP2ThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	server, roots := secureServer(t, true, nil, func(_ http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		<-r.Context().Done()
	})
	client := newClient(t, atHome(), fetch.WithRootCAs(roots), fetch.WithLimits(fetch.Limits{Header: time.Second}))
	for want := int32(1); want <= 2; want++ {
		_, _, err := get(t, client, server.URL)
		failed(t, err, fetch.KindTimeout)
		if got := requests.Load(); got != want {
			t.Errorf("requests = %d, want %d", got, want)
		}
	}
}
