package fetch_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/httpclient"
)

func TestGetBringsTheFile(t *testing.T) {
	t.Parallel()
	want := noise(200_000)
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write(want[:100_000])
		w.(http.Flusher).Flush() // so that it goes without a length
		_, _ = w.Write(want[100_000:])
	})
	content, file, err := get(t, newClient(t, atHome()), server.URL+"/x.png")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(content, want) {
		t.Error("the content is another one")
	}
	if want := (fetch.Transfer{Bytes: 200_000, Host: "127.0.0.1"}); file != want {
		t.Errorf("got %+v, want %+v", file, want)
	}
}

func TestRequestSaysNothingButWhatItMust(t *testing.T) {
	t.Parallel()
	requests := make(chan *http.Request, 1)
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		requests <- r
		_, _ = io.WriteString(w, "x")
	})
	client := newClient(t, atHome())
	if _, _, err := get(t, client, server.URL+"/d/x%2Fy.png?X-Amz-Signature=a%2Bb&q=%7E+#part"); err != nil {
		t.Fatal(err)
	}
	got := <-requests
	if want := "/d/x%2Fy.png?X-Amz-Signature=a%2Bb&q=%7E+"; got.RequestURI != want {
		t.Errorf("asked for %q, want %q", got.RequestURI, want)
	}
	if len(got.Header) != 2 || got.Header.Get("User-Agent") != httpclient.UserAgent() || got.Header.Get("Accept-Encoding") != "identity" {
		t.Errorf("sent the header %v", got.Header)
	}
	if got.Method != http.MethodGet || got.ContentLength != 0 {
		t.Errorf("sent %s with %d bytes", got.Method, got.ContentLength)
	}
}

func TestAnswersThatAreNoFile(t *testing.T) {
	t.Parallel()
	compressed := func(w http.ResponseWriter, coding string) {
		w.Header().Set("Content-Encoding", coding)
		z := gzip.NewWriter(w)
		_, _ = z.Write(noise(100))
		_ = z.Close()
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			if code != http.StatusNoContent && code != http.StatusNotModified {
				_, _ = io.WriteString(w, "<html>")
			}
		}
	}
	for name, row := range map[string]struct {
		answer http.HandlerFunc
		kind   fetch.Kind
		status int
	}{
		"created":               {status(201), fetch.KindStatus, 201},
		"accepted":              {status(202), fetch.KindStatus, 202},
		"changed by a proxy":    {status(203), fetch.KindStatus, 203},
		"no content":            {status(204), fetch.KindTruncated, 0},
		"part nobody asked for": {status(206), fetch.KindTruncated, 0},
		"choices":               {status(300), fetch.KindStatus, 300},
		"not modified":          {status(304), fetch.KindStatus, 304},
		"forbidden":             {status(403), fetch.KindStatus, 403},
		"gone":                  {status(410), fetch.KindStatus, 410},
		"out of its mind":       {status(999), fetch.KindStatus, 999},
		"server error":          {status(500), fetch.KindStatus, 500},
		"empty":                 {func(http.ResponseWriter, *http.Request) {}, fetch.KindTruncated, 0},
		"empty without a length": {func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
		}, fetch.KindTruncated, 0},
		"gzip":              {func(w http.ResponseWriter, _ *http.Request) { compressed(w, "gzip") }, fetch.KindEncoding, 0},
		"unknown coding":    {func(w http.ResponseWriter, _ *http.Request) { compressed(w, "x-own") }, fetch.KindEncoding, 0},
		"identity and gzip": {func(w http.ResponseWriter, _ *http.Request) { compressed(w, "identity, GZIP") }, fetch.KindEncoding, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content, _, err := get(t, newClient(t, atHome()), serve(t, row.answer).URL)
			failure := failed(t, err, row.kind)
			if failure.Status != row.status {
				t.Errorf("got status %d, want %d", failure.Status, row.status)
			}
			if len(content) > 0 {
				t.Errorf("wrote %d bytes", len(content))
			}
		})
	}
}

func TestIdentityIsNoCoding(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "Identity")
		_, _ = io.WriteString(w, "image")
	})
	if content, _, err := get(t, newClient(t, atHome()), server.URL); err != nil || string(content) != "image" {
		t.Errorf("got %q, %v", content, err)
	}
}

func TestMaxBytes(t *testing.T) {
	t.Parallel()
	content := noise(200_000)
	for name, row := range map[string]struct {
		max     int64
		chunked bool
		kind    fetch.Kind
	}{
		"announced, exactly":       {200_000, false, ""},
		"announced, one over":      {199_999, false, fetch.KindTooLarge},
		"not announced, exactly":   {200_000, true, ""},
		"not announced, one over":  {199_999, true, fetch.KindTooLarge},
		"nothing allowed":          {0, true, fetch.KindTooLarge},
		"less than nothing, if so": {-1, true, fetch.KindTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if !row.chunked {
					w.Header().Set("Content-Length", strconv.Itoa(len(content)))
				}
				_, _ = w.Write(content)
			})
			var got bytes.Buffer
			err := newClient(t, atHome()).Get(t.Context(), fetch.Request{URL: server.URL, MaxBytes: row.max}, &got)
			if row.kind == "" {
				if err != nil || !bytes.Equal(got.Bytes(), content) {
					t.Errorf("got %d bytes, %v", got.Len(), err)
				}
				return
			}
			failed(t, err, row.kind)
			if int64(got.Len()) > max(row.max, 0) {
				t.Errorf("wrote %d bytes where %d are allowed", got.Len(), row.max)
			}
			if !row.chunked && got.Len() > 0 {
				t.Errorf("wrote %d bytes of a file that was announced as too large", got.Len())
			}
		})
	}
}

func TestEndlessBodyIsLeftAtTheLimit(t *testing.T) {
	t.Parallel()
	stopped := make(chan struct{})
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		defer close(stopped)
		for piece := noise(1 << 16); ; {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})
	content, _, err := get(t, newClient(t, atHome()), server.URL)
	failed(t, err, fetch.KindTooLarge)
	if len(content) > 1<<20 {
		t.Errorf("wrote %d bytes", len(content))
	}
	<-stopped // the server is told, and not left with a reader that does not read
}

func TestRetryAfterOfAnAnswer(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "17")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	_, _, err := get(t, newClient(t, atHome()), server.URL+"/x.png?X-Amz-Signature=hidden")
	failure := failed(t, err, fetch.KindStatus)
	if failure.Status != 503 || failure.RetryAfter != 17*time.Second {
		t.Errorf("got status %d, retry after %s", failure.Status, failure.RetryAfter)
	}
	if want := server.URL + "/x.png answers 503 Service Unavailable"; failure.Text != want {
		t.Errorf("got %q, want %q", failure.Text, want)
	}
}

type brokenWriter struct {
	n   int
	err error
}

func (w brokenWriter) Write([]byte) (int, error) { return w.n, w.err }

func TestWriterThatFails(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	for name, row := range map[string]struct {
		w    io.Writer
		want error
	}{
		"with an error": {brokenWriter{err: full}, full},
		"silently":      {brokenWriter{n: 1}, io.ErrShortWrite},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("ETag", `"strong"`)
				_, _ = w.Write(noise(1000))
			})
			err := newClient(t, atHome()).Get(t.Context(), fetch.Request{URL: server.URL, MaxBytes: 1000}, row.w)
			failed(t, err, fetch.KindWrite)
			if !errors.Is(err, row.want) {
				t.Errorf("%v is not %v", err, row.want)
			}
		})
	}
}

func TestServersThatAreNone(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ scheme, answer, says string }{
		"closes at once":          {"http", "", "closed the connection too early"},
		"not HTTP":                {"http", "SSH-2.0-OpenSSH_9.6\r\n", "does not speak HTTP"},
		"malformed header":        {"http", "HTTP/1.1 200 OK\r\nno colon here\r\n\r\n", "does not speak HTTP"},
		"two lengths":             {"http", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "does not speak HTTP"},
		"huge header":             {"http", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 80<<10) + "\r\n\r\n", "does not speak HTTP"},
		"early hints without end": {"http", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: "+strings.Repeat("x", 1000)+"\r\n\r\n", 100), "does not speak HTTP"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := raw(t, func(conn net.Conn, _ int) { _, _ = io.WriteString(conn, row.answer) })
			_, _, err := get(t, newClient(t, atHome()), row.scheme+"://"+address)
			if failure := failed(t, err, fetch.KindNetwork); !strings.Contains(failure.Text, row.says) {
				t.Errorf("%q does not say %q", failure.Text, row.says)
			}
		})
	}
}

func TestConnectionRefused(t *testing.T) {
	t.Parallel()
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	server.Close()
	_, _, err := get(t, newClient(t, atHome()), server.URL)
	if failure := failed(t, err, fetch.KindUnreachable); !errors.Is(failure, syscall.ECONNREFUSED) {
		t.Errorf("error = %v, want one that wraps %v", failure, syscall.ECONNREFUSED)
	}
}

func TestCallerGivesUp(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		after int // bytes
		kind  fetch.Kind
		ok    error
	}{
		"cancelled before the answer": {0, fetch.KindCancelled, context.Canceled},
		"cancelled in the middle":     {500, fetch.KindCancelled, context.Canceled},
		"deadline before the answer":  {0, fetch.KindTimeout, context.DeadlineExceeded},
		"deadline in the middle":      {500, fetch.KindTimeout, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			if row.kind == fetch.KindTimeout {
				ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
			}
			defer cancel()
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if row.after > 0 {
					w.Header().Set("Content-Length", "1000")
					w.Header().Set("ETag", `"strong"`)
					_, _ = w.Write(noise(row.after))
					w.(http.Flusher).Flush()
				}
				if row.kind == fetch.KindCancelled {
					cancel()
				}
				<-r.Context().Done()
			})
			err := newClient(t, atHome()).Get(ctx, fetch.Request{URL: server.URL, MaxBytes: 1000}, io.Discard)
			failed(t, err, row.kind)
			if !errors.Is(err, row.ok) {
				t.Errorf("%v is not %v", err, row.ok)
			}
		})
	}
}
