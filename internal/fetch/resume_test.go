package fetch_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/fetch"
)

// Two strong validators.
var (
	longAgo = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tag     = http.Header{"Etag": {`"v1"`}}
)

// flaky serves content by the standard library's own range code, except that
// its first breaks answers break off after a third of what they announced.
type flaky struct {
	content  []byte
	header   http.Header
	modified time.Time
	breaks   int32

	requests atomic.Int32
	asked    chan http.Header
}

func newFlaky(breaks int32, header http.Header, modified time.Time) *flaky {
	return &flaky{content: noise(30_000), header: header, modified: modified, breaks: breaks, asked: make(chan http.Header, 20)}
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	number := f.requests.Add(1)
	f.asked <- r.Header
	maps.Copy(w.Header(), f.header)
	if number <= f.breaks {
		w = &breaking{ResponseWriter: w}
	}
	http.ServeContent(w, r, "x.png", f.modified, bytes.NewReader(f.content))
}

// breaking lets the head and a third of what it announced through, and aborts.
type breaking struct{ http.ResponseWriter }

func (b *breaking) Write(piece []byte) (int, error) {
	var announced int
	_, _ = fmt.Sscan(b.Header().Get("Content-Length"), &announced)
	_, _ = b.ResponseWriter.Write(piece[:min(len(piece), announced/3)])
	_ = http.NewResponseController(b.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

func TestBrokenTransferIsResumed(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		breaks   int32
		header   http.Header
		modified time.Time
		ifRange  string
	}{
		"ETag":                        {breaks: 1, header: tag, ifRange: `"v1"`},
		"ETag, several times":         {breaks: fetch.MaxResumes, header: tag, ifRange: `"v1"`},
		"ETag and Last-Modified":      {breaks: 1, header: tag, modified: longAgo, ifRange: `"v1"`},
		"Last-Modified":               {breaks: 2, modified: longAgo, ifRange: "Fri, 02 Jan 2026 03:04:05 GMT"},
		"ETag beside a recent change": {breaks: 1, header: tag, modified: time.Now(), ifRange: `"v1"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			origin := newFlaky(row.breaks, row.header, row.modified)
			client := newClient(t, atHome(), fetch.WithLimits(fetch.Limits{Overlap: 100}))
			content, file, err := get(t, client, serve(t, origin.ServeHTTP).URL)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(content, origin.content) || file.Bytes != int64(len(content)) {
				t.Errorf("got %d other bytes, want the file of %d", len(content), len(origin.content))
			}
			if file.Resumed != int(row.breaks) {
				t.Errorf("resumed %d times, want %d", file.Resumed, row.breaks)
			}
			if first := <-origin.asked; first.Get("Range") != "" || first.Get("If-Range") != "" {
				t.Errorf("header of the first request = %v, want no range", first)
			}
			if second := <-origin.asked; second.Get("Range") != "bytes=9900-" || second.Get("If-Range") != row.ifRange {
				t.Errorf("header of the second request = %v, want bytes=9900- if %s", second, row.ifRange)
			}
		})
	}
}

func TestBrokenTransferOverHTTP2IsResumed(t *testing.T) {
	t.Parallel()
	origin := newFlaky(2, tag, time.Time{})
	server, roots := secureServer(t, true, nil, origin.ServeHTTP)
	content, file, err := get(t, newClient(t, atHome(), fetch.WithRootCAs(roots)), server.URL)
	if err != nil || file.Resumed != 2 || !bytes.Equal(content, origin.content) {
		t.Errorf("got %d bytes, %+v, error %v, want the file after 2 resumes", len(content), file, err)
	}
}

func TestBrokenTransferIsNotResumedWithoutStrongValidator(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		header   http.Header
		modified time.Time
	}{
		"none":                            {},
		"weak ETag":                       {header: http.Header{"Etag": {`W/"v1"`}}},
		"weak ETag beside an old change":  {header: http.Header{"Etag": {`W/"v1"`}}, modified: longAgo},
		"changed just now":                {modified: time.Now()},
		"changed in the future":           {modified: time.Now().Add(time.Hour)},
		"ETag without quotes":             {header: http.Header{"Etag": {`v1`}}},
		"ETag with a space":               {header: http.Header{"Etag": {`"v 1"`}}},
		"half an ETag":                    {header: http.Header{"Etag": {`"`}}},
		"ETag, but ranges are not served": {header: http.Header{"Etag": {`"v1"`}, "Accept-Ranges": {"none"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requests := atomic.Int32{}
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				requests.Add(1)
				maps.Copy(w.Header(), row.header)
				if !row.modified.IsZero() {
					w.Header().Set("Last-Modified", row.modified.UTC().Format(http.TimeFormat))
				}
				w.Header().Set("Content-Length", "300")
				_, _ = (&breaking{w}).Write(noise(300))
			})
			_, _, err := get(t, newClient(t, atHome()), server.URL)
			failed(t, err, fetch.KindTruncated)
			if requests.Load() != 1 {
				t.Errorf("requests = %d, want 1", requests.Load())
			}
		})
	}
}

func TestResumesAreLimited(t *testing.T) {
	t.Parallel()
	origin := newFlaky(1000, tag, time.Time{})
	_, _, err := get(t, newClient(t, atHome()), serve(t, origin.ServeHTTP).URL)
	failed(t, err, fetch.KindTruncated)
	if got := origin.requests.Load(); got != fetch.MaxResumes+1 {
		t.Errorf("requests = %d, want %d", got, fetch.MaxResumes+1)
	}
}

// TestRestThatIsNotTheRest has a server send the first 10 of 20 bytes, close the connection, and then send the rest of the row.
func TestRestThatIsNotTheRest(t *testing.T) {
	t.Parallel()
	const first = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\nETag: \"v1\"\r\n\r\n0123456789"
	const part = "HTTP/1.1 206 Partial Content\r\n"
	for name, row := range map[string]struct {
		rest string
		kind fetch.Kind
	}{
		"exact":                                 {rest: part + "ETag: \"v1\"\r\nContent-Range: bytes 6-19/20\r\nContent-Length: 14\r\n\r\n6789abcdefghij"},
		"exact, chunked":                        {rest: part + "ETag: \"v1\"\r\nContent-Range: bytes 6-19/20\r\nTransfer-Encoding: chunked\r\n\r\ne\r\n6789abcdefghij\r\n0\r\n\r\n"},
		"whole":                                 {rest: strings.Replace(first, "v1", "v2", 1) + "abcdefghij", kind: fetch.KindTruncated},
		"other ETag":                            {rest: part + "ETag: \"v2\"\r\nContent-Range: bytes 6-19/20\r\nContent-Length: 14\r\n\r\n6789abcdefghij", kind: fetch.KindTruncated},
		"weak ETag":                             {rest: part + "ETag: W/\"v1\"\r\nContent-Range: bytes 6-19/20\r\nContent-Length: 14\r\n\r\n6789abcdefghij", kind: fetch.KindTruncated},
		"no ETag":                               {rest: part + "Content-Range: bytes 6-19/20\r\nContent-Length: 14\r\n\r\n6789abcdefghij", kind: fetch.KindTruncated},
		"from before":                           {rest: part + "ETag: \"v1\"\r\nContent-Range: bytes 5-19/20\r\nContent-Length: 15\r\n\r\n56789abcdefghij", kind: fetch.KindTruncated},
		"from after":                            {rest: part + "ETag: \"v1\"\r\nContent-Range: bytes 7-19/20\r\nContent-Length: 13\r\n\r\n789abcdefghij", kind: fetch.KindTruncated},
		"not to the end":                        {rest: part + "ETag: \"v1\"\r\nContent-Range: bytes 6-18/20\r\nContent-Length: 13\r\n\r\n6789abcdefghi", kind: fetch.KindTruncated},
		"of another length":                     {rest: part + "ETag: \"v1\"\r\nContent-Range: bytes 6-20/21\r\nContent-Length: 15\r\n\r\n6789abcdefghijk", kind: fetch.KindTruncated},
		"of unknown length":                     {rest: part + "ETag: \"v1\"\r\nContent-Range: bytes 6-19/*\r\nContent-Length: 14\r\n\r\n6789abcdefghij", kind: fetch.KindTruncated},
		"of another unit":                       {rest: part + "ETag: \"v1\"\r\nContent-Range: pixels 6-19/20\r\nContent-Length: 14\r\n\r\n6789abcdefghij", kind: fetch.KindTruncated},
		"of garbage":                            {rest: part + "ETag: \"v1\"\r\nContent-Range: bytes +6-19/20\r\nContent-Length: 14\r\n\r\n6789abcdefghij", kind: fetch.KindTruncated},
		"no range":                              {rest: part + "ETag: \"v1\"\r\nContent-Length: 14\r\n\r\n6789abcdefghij", kind: fetch.KindTruncated},
		"two ranges":                            {rest: part + "ETag: \"v1\"\r\nContent-Range: bytes 6-19/20\r\nContent-Range: bytes 6-19/20\r\nContent-Length: 14\r\n\r\n6789abcdefghij", kind: fetch.KindTruncated},
		"longer by header":                      {rest: part + "ETag: \"v1\"\r\nContent-Range: bytes 6-19/20\r\nContent-Length: 15\r\n\r\n6789abcdefghijk", kind: fetch.KindTruncated},
		"longer in chunks":                      {rest: part + "ETag: \"v1\"\r\nContent-Range: bytes 6-19/20\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n6789abcdefghijk\r\n0\r\n\r\n", kind: fetch.KindTruncated},
		"shorter in chunks":                     {rest: part + "ETag: \"v1\"\r\nContent-Range: bytes 6-19/20\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n6789abcde\r\n0\r\n\r\n", kind: fetch.KindTruncated},
		"from before, but of the right size":    {rest: part + "ETag: \"v1\"\r\nContent-Range: bytes 5-19/20\r\nTransfer-Encoding: chunked\r\n\r\ne\r\n56789abcdefghi\r\n0\r\n\r\n", kind: fetch.KindTruncated},
		"not to the end, but of the right size": {rest: part + "ETag: \"v1\"\r\nContent-Range: bytes 6-18/20\r\nTransfer-Encoding: chunked\r\n\r\ne\r\n6789abcdefghij\r\n0\r\n\r\n", kind: fetch.KindTruncated},
		"compressed":                            {rest: part + "ETag: \"v1\"\r\nContent-Range: bytes 6-19/20\r\nContent-Encoding: gzip\r\nContent-Length: 14\r\n\r\n6789abcdefghij", kind: fetch.KindEncoding},
		"not satisfiable":                       {rest: "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */5\r\nContent-Length: 0\r\n\r\n", kind: fetch.KindTruncated},
		"whole, of the same ETag":               {rest: first + "abcdefghij", kind: fetch.KindTruncated},
		"other bytes of the same ETag":          {rest: part + "ETag: \"v1\"\r\nContent-Range: bytes 6-19/20\r\nContent-Length: 14\r\n\r\nwxyzabcdefghij", kind: fetch.KindTruncated},
		"one other byte of the same ETag":       {rest: part + "ETag: \"v1\"\r\nContent-Range: bytes 6-19/20\r\nContent-Length: 14\r\n\r\n678zabcdefghij", kind: fetch.KindTruncated},
		"unavailable":                           {rest: "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n", kind: fetch.KindStatus},
		"redirect":                              {rest: "HTTP/1.1 302 Found\r\nLocation: https://evil.example/\r\nContent-Length: 0\r\n\r\n", kind: fetch.KindHostNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := raw(t, func(conn net.Conn, number int) {
				answer := first
				if number > 0 {
					answer = row.rest
				}
				_, _ = io.WriteString(conn, answer)
			})
			client := newClient(t, atHome(), fetch.WithLimits(fetch.Limits{Overlap: 4}))
			content, file, err := get(t, client, "http://"+address)
			if row.kind != "" {
				failed(t, err, row.kind)
				return
			}
			if err != nil || string(content) != "0123456789abcdefghij" || file.Resumed != 1 {
				t.Errorf("Get() = %q, %+v, %v, want the file after 1 resume", content, file, err)
			}
		})
	}
}

// TestBreakAtHalf is row B8: the server breaks off at half, and what it sends then has the same ETag.
func TestBreakAtHalf(t *testing.T) {
	t.Parallel()
	const size, overlap = 400_000, 64 << 10
	for name, row := range map[string]struct {
		second      func([]byte) // changes the file between the two responses
		unannounced bool         // the first response has no length
		unrepeated  bool         // the second response has no Last-Modified
		modified    time.Time    // instead of an ETag
		kind        fetch.Kind
	}{
		"the same file":         {},
		"the same file by date": {modified: longAgo},
		"B8: same ETag, other bytes after a break at half": {second: func(b []byte) { copy(b, noise(size + 1)[1:]) }, kind: fetch.KindTruncated},
		"B8: same date, other bytes after a break at half": {modified: longAgo, second: func(b []byte) { copy(b, noise(size + 1)[1:]) }, kind: fetch.KindTruncated},
		"B8: same ETag, first byte of the overlap":         {second: func(b []byte) { b[size/2-overlap]++ }, kind: fetch.KindTruncated},
		"B8: same ETag, last byte of the overlap":          {second: func(b []byte) { b[size/2-1]++ }, kind: fetch.KindTruncated},
		"B8: same ETag, no length in the first answer":     {unannounced: true, kind: fetch.KindTruncated},
		"B8: a date that the second answer leaves out":     {modified: longAgo, unrepeated: true, kind: fetch.KindTruncated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := noise(size), noise(size)
			if row.second != nil {
				row.second(second)
			}
			requests := atomic.Int32{}
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if row.modified.IsZero() {
					w.Header().Set("ETag", `"v1"`)
				}
				if requests.Add(1) > 1 {
					if row.unrepeated {
						w = &undated{w}
					}
					http.ServeContent(w, r, "x.png", row.modified, bytes.NewReader(second))
					return
				}
				if !row.modified.IsZero() {
					w.Header().Set("Last-Modified", row.modified.Format(http.TimeFormat))
				}
				if !row.unannounced {
					w.Header().Set("Content-Length", strconv.Itoa(size))
				}
				_, _ = w.Write(first[:size/2])
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			})
			content, file, err := get(t, newClient(t, atHome()), server.URL)
			if row.kind != "" {
				failed(t, err, row.kind)
				if len(content) != size/2 {
					t.Errorf("wrote %d bytes, want %d: none of the second file", len(content), size/2)
				}
				return
			}
			if err != nil || !bytes.Equal(content, first) || file.Resumed != 1 {
				t.Errorf("got %d bytes, %+v, error %v, want the file of %d after 1 resume", len(content), file, err, size)
			}
		})
	}
}

// undated leaves out Last-Modified.
type undated struct{ http.ResponseWriter }

func (u *undated) WriteHeader(status int) {
	u.Header().Del("Last-Modified")
	u.ResponseWriter.WriteHeader(status)
}

// TestShortBeginningIsComparedWhole has the server ignore a range that is the whole file.
func TestShortBeginningIsComparedWhole(t *testing.T) {
	t.Parallel()
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: \"v1\"\r\n\r\n"
	for name, row := range map[string]struct {
		second string
		kind   fetch.Kind
	}{
		"the same file":  {second: head + "0123456789"},
		"another file":   {second: head + "012x456789", kind: fetch.KindTruncated},
		"another length": {second: strings.Replace(head, "10", "11", 1) + "0123456789a", kind: fetch.KindTruncated},
		"another ETag":   {second: strings.Replace(head, "v1", "v2", 1) + "0123456789", kind: fetch.KindTruncated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := raw(t, func(conn net.Conn, number int) {
				answer := head + "01234"
				if number > 0 {
					answer = row.second
				}
				_, _ = io.WriteString(conn, answer)
			})
			content, file, err := get(t, newClient(t, atHome()), "http://"+address)
			if row.kind != "" {
				failed(t, err, row.kind)
			} else if err != nil || string(content) != "0123456789" || file.Resumed != 1 {
				t.Errorf("Get() = %q, %+v, %v, want the file after 1 resume", content, file, err)
			}
		})
	}
}

// TestBodyWithoutLength is about HTTP/1.0: what ends with the connection is whole,
// unless the connection was reset.
func TestBodyWithoutLength(t *testing.T) {
	t.Parallel()
	for name, reset := range map[string]bool{"closed": false, "reset": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := raw(t, func(conn net.Conn, _ int) {
				_, _ = io.WriteString(conn, "HTTP/1.0 200 OK\r\n\r\nimage")
				if reset {
					_ = conn.(*net.TCPConn).SetLinger(0)
				}
			})
			content, _, err := get(t, newClient(t, atHome()), "http://"+address)
			if reset {
				failed(t, err, fetch.KindNetwork)
			} else if err != nil || string(content) != "image" {
				t.Errorf("Get() = %q, %v, want %q", content, err, "image")
			}
		})
	}
}

// TestBreakBeforeTheFirstByte wants a request for the whole file.
func TestBreakBeforeTheFirstByte(t *testing.T) {
	t.Parallel()
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"v1\"\r\n\r\n"
	address := raw(t, func(conn net.Conn, number int) {
		_, _ = io.WriteString(conn, head+strings.Repeat("image", min(number, 1)))
	})
	content, file, err := get(t, newClient(t, atHome()), "http://"+address)
	if err != nil || string(content) != "image" || file.Resumed != 1 {
		t.Errorf("Get() = %q, %+v, %v, want %q after 1 resume", content, file, err, "image")
	}
}

func TestOriginIsUnreachableForTheRest(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(gone)
		conn, err := listener.Accept()
		_ = listener.Close()
		if err == nil {
			answerOne(conn, 0, func(conn net.Conn, _ int) {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\nETag: \"v1\"\r\n\r\n0123456789")
			})
		}
	}()
	_, _, err = get(t, newClient(t, atHome()), "http://"+listener.Addr().String())
	<-gone
	if failure := failed(t, err, fetch.KindUnreachable); !errors.Is(failure, syscall.ECONNREFUSED) {
		t.Errorf("error = %v, want one that wraps %v", failure, syscall.ECONNREFUSED)
	}
}
