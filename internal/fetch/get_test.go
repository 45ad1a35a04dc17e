package fetch_test

import (
	"bytes"
	"cmp"
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

func TestGet(t *testing.T) {
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
		t.Errorf("got %d other bytes, want the file of %d", len(content), len(want))
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
	if len(got.Header) != 3 || got.Header.Get("Accept") != "image/*,*/*;q=0.5" || got.Header.Get("User-Agent") != httpclient.UserAgent() || got.Header.Get("Accept-Encoding") != "identity" {
		t.Errorf("header = %v, want only Accept, User-Agent and Accept-Encoding: identity", got.Header)
	}
	if got.Method != http.MethodGet || got.ContentLength != 0 {
		t.Errorf("request = %s with %d bytes, want GET with 0", got.Method, got.ContentLength)
	}
}

func TestResponsesWithoutAFile(t *testing.T) {
	t.Parallel()
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
		"created":                     {answer: status(201), kind: fetch.KindStatus, status: 201},
		"accepted":                    {answer: status(202), kind: fetch.KindStatus, status: 202},
		"changed by a proxy":          {answer: status(203), kind: fetch.KindStatus, status: 203},
		"no content":                  {answer: status(204), kind: fetch.KindTruncated},
		"part that was not requested": {answer: status(206), kind: fetch.KindTruncated},
		"choices":                     {answer: status(300), kind: fetch.KindStatus, status: 300},
		"not modified":                {answer: status(304), kind: fetch.KindStatus, status: 304},
		"forbidden":                   {answer: status(403), kind: fetch.KindStatus, status: 403},
		"gone":                        {answer: status(410), kind: fetch.KindStatus, status: 410},
		"no valid status":             {answer: status(999), kind: fetch.KindStatus, status: 999},
		"server error":                {answer: status(500), kind: fetch.KindStatus, status: 500},
		"empty":                       {answer: func(http.ResponseWriter, *http.Request) {}, kind: fetch.KindTruncated},
		"empty without a length":      {answer: func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() }, kind: fetch.KindTruncated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content, _, err := get(t, newClient(t, atHome()), serve(t, row.answer).URL)
			failure := failed(t, err, row.kind)
			if failure.Status != row.status {
				t.Errorf("got status %d, want %d", failure.Status, row.status)
			}
			if len(content) > 0 {
				t.Errorf("wrote %d bytes, want 0", len(content))
			}
		})
	}
}

// TestContentEncoding is fault B2: the first bytes of a file decide, not what the host says of its coding.
func TestContentEncoding(t *testing.T) {
	t.Parallel()
	image := noise(100_000)
	var compressed bytes.Buffer
	z := gzip.NewWriter(&compressed)
	_, _ = z.Write(image)
	_ = z.Close()
	for _, row := range []struct {
		name, coding string
		body         []byte
		max          int64
		kind         fetch.Kind
	}{
		{name: "identity", coding: "Identity", body: image},
		{name: "unknown coding over plain bytes", coding: "aws-chunked", body: image},
		{name: "charset over plain bytes", coding: "UTF-8", body: image},
		{name: "gzip", coding: "gzip", body: compressed.Bytes()},
		{name: "gzip among others", coding: "identity, X-GZIP", body: compressed.Bytes()},
		{name: "gzip over plain bytes", coding: "gzip", body: image},
		{name: "gzip beyond the limit", coding: "gzip", body: compressed.Bytes(), max: 99_999, kind: fetch.KindTooLarge},
		{name: "gzip cut off", coding: "gzip", body: compressed.Bytes()[:50_000], kind: fetch.KindTruncated},
		{name: "gzip with a wrong checksum", coding: "gzip", body: append(bytes.Clone(compressed.Bytes()[:compressed.Len()-8]), make([]byte, 8)...), kind: fetch.KindTruncated},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", row.coding)
				w.Header().Set("ETag", `"v1"`)
				_, _ = w.Write(row.body)
			})
			var got bytes.Buffer
			err := newClient(t, atHome()).Get(t.Context(), fetch.Request{URL: server.URL, MaxBytes: cmp.Or(row.max, 1<<20)}, &got)
			if row.kind != "" {
				failed(t, err, row.kind)
				return
			}
			if err != nil || !bytes.Equal(got.Bytes(), image) {
				t.Errorf("got %d bytes, error %v, want the image of %d", got.Len(), err, len(image))
			}
		})
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
		"announced, exactly":       {max: 200_000},
		"announced, one over":      {max: 199_999, kind: fetch.KindTooLarge},
		"not announced, exactly":   {max: 200_000, chunked: true},
		"not announced, one over":  {max: 199_999, chunked: true, kind: fetch.KindTooLarge},
		"nothing allowed":          {max: 0, chunked: true, kind: fetch.KindTooLarge},
		"less than nothing, if so": {max: -1, chunked: true, kind: fetch.KindTooLarge},
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
					t.Errorf("got %d bytes, error %v, want %d bytes", got.Len(), err, len(content))
				}
				return
			}
			failed(t, err, row.kind)
			if int64(got.Len()) > max(row.max, 0) {
				t.Errorf("wrote %d bytes, want at most %d", got.Len(), row.max)
			}
			if !row.chunked && got.Len() > 0 {
				t.Errorf("wrote %d bytes of a file that was announced as too large, want 0", got.Len())
			}
		})
	}
}

func TestEndlessBodyEndsAtTheLimit(t *testing.T) {
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
		t.Errorf("wrote %d bytes, want at most %d", len(content), 1<<20)
	}
	<-stopped // the connection is closed for the server
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
		t.Errorf("status = %d, retry after %s, want 503 and 17s", failure.Status, failure.RetryAfter)
	}
	if !strings.Contains(failure.Text, server.URL+"/x.png") || strings.Contains(failure.Text, "hidden") {
		t.Errorf("text = %q, want the URL without its query in it", failure.Text)
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
				t.Errorf("error = %v, want %v", err, row.want)
			}
		})
	}
}

func TestServersThatDoNotSpeakHTTP(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"closes at once":          "",
		"not HTTP":                "SSH-2.0-OpenSSH_9.6\r\n",
		"malformed header":        "HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
		"two lengths":             "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
		"huge header":             "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 80<<10) + "\r\n\r\n",
		"early hints without end": strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: "+strings.Repeat("x", 1000)+"\r\n\r\n", 100),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := raw(t, func(conn net.Conn, _ int) { _, _ = io.WriteString(conn, answer) })
			_, _, err := get(t, newClient(t, atHome()), "http://"+address)
			failed(t, err, fetch.KindNetwork)
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

func TestCallerCancels(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		after int // bytes
		kind  fetch.Kind
		want  error
	}{
		"cancelled before the answer": {after: 0, kind: fetch.KindCancelled, want: context.Canceled},
		"cancelled in the middle":     {after: 500, kind: fetch.KindCancelled, want: context.Canceled},
		"deadline before the answer":  {after: 0, kind: fetch.KindTimeout, want: context.DeadlineExceeded},
		"deadline in the middle":      {after: 500, kind: fetch.KindTimeout, want: context.DeadlineExceeded},
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
			if !errors.Is(err, row.want) {
				t.Errorf("error = %v, want one that wraps %v", err, row.want)
			}
		})
	}
}

func TestLengthRequired(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		chunked bool
		header  string // Content-Encoding
		wantErr bool
	}{
		{name: "C1 announced"},
		{name: "C1 chunked", chunked: true, wantErr: true},
		{name: "C1 compressed", header: "gzip", wantErr: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if row.header != "" {
					w.Header().Set("Content-Encoding", row.header)
				}
				if row.chunked {
					_ = http.NewResponseController(w).Flush()
				}
				_, _ = w.Write(noise(100))
			})
			request := fetch.Request{URL: server.URL, MaxBytes: 1000, LengthRequired: true}
			err := newClient(t, atHome()).Get(t.Context(), request, io.Discard)
			if !row.wantErr {
				if err != nil {
					t.Errorf("error = %v, want none", err)
				}
				return
			}
			failed(t, err, fetch.KindTruncated)
		})
	}
}
