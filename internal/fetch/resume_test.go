package fetch_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
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

func TestBrokenTransferIsContinued(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		breaks   int32
		header   http.Header
		modified time.Time
		ifRange  string
	}{
		"ETag":                        {1, tag, time.Time{}, `"v1"`},
		"ETag, several times":         {fetch.MaxResumes, tag, time.Time{}, `"v1"`},
		"ETag and Last-Modified":      {1, tag, longAgo, `"v1"`},
		"Last-Modified":               {2, nil, longAgo, "Fri, 02 Jan 2026 03:04:05 GMT"},
		"ETag beside a recent change": {1, tag, time.Now(), `"v1"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			origin := newFlaky(row.breaks, row.header, row.modified)
			content, file, err := get(t, newClient(t, atHome()), serve(t, origin.ServeHTTP).URL)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(content, origin.content) || file.Bytes != int64(len(content)) {
				t.Errorf("the %d bytes are not the file", len(content))
			}
			if file.Resumed != int(row.breaks) {
				t.Errorf("resumed %d times, want %d", file.Resumed, row.breaks)
			}
			if first := <-origin.asked; first.Get("Range") != "" || first.Get("If-Range") != "" {
				t.Errorf("the first request has the header %v", first)
			}
			if second := <-origin.asked; second.Get("Range") != "bytes=10000-" || second.Get("If-Range") != row.ifRange {
				t.Errorf("the second request has the header %v", second)
			}
		})
	}
}

func TestBrokenTransferOverHTTP2IsContinued(t *testing.T) {
	t.Parallel()
	origin := newFlaky(2, tag, time.Time{})
	server, roots := secureServer(t, true, nil, origin.ServeHTTP)
	content, file, err := get(t, newClient(t, atHome(), fetch.WithRootCAs(roots)), server.URL)
	if err != nil || file.Resumed != 2 || !bytes.Equal(content, origin.content) {
		t.Errorf("got %d bytes, %+v, %v", len(content), file, err)
	}
}

func TestBrokenTransferIsNotContinuedWithoutStrongValidator(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		header   http.Header
		modified time.Time
	}{
		"none":                            {nil, time.Time{}},
		"weak ETag":                       {http.Header{"Etag": {`W/"v1"`}}, time.Time{}},
		"weak ETag beside an old change":  {http.Header{"Etag": {`W/"v1"`}}, longAgo},
		"changed just now":                {nil, time.Now()},
		"changed in the future":           {nil, time.Now().Add(time.Hour)},
		"ETag without quotes":             {http.Header{"Etag": {`v1`}}, time.Time{}},
		"ETag with a space":               {http.Header{"Etag": {`"v 1"`}}, time.Time{}},
		"half an ETag":                    {http.Header{"Etag": {`"`}}, time.Time{}},
		"ETag, but ranges are not served": {http.Header{"Etag": {`"v1"`}, "Accept-Ranges": {"none"}}, time.Time{}},
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
			failure := failed(t, err, fetch.KindTruncated)
			if !strings.HasSuffix(failure.Text, "broke off after 100 of 300 bytes") {
				t.Errorf("%q does not say how far it came", failure.Text)
			}
			if requests.Load() != 1 {
				t.Errorf("asked %d times", requests.Load())
			}
		})
	}
}

func TestContinuingHasAnEnd(t *testing.T) {
	t.Parallel()
	origin := newFlaky(1000, tag, time.Time{})
	_, _, err := get(t, newClient(t, atHome()), serve(t, origin.ServeHTTP).URL)
	failed(t, err, fetch.KindTruncated)
	if got := origin.requests.Load(); got != fetch.MaxResumes+1 {
		t.Errorf("asked %d times, want %d", got, fetch.MaxResumes+1)
	}
}

// TestRestThatIsNotTheRest has a server of bare TCP send the first 10 of 20 bytes,
// break off, and then answer what the row says.
func TestRestThatIsNotTheRest(t *testing.T) {
	t.Parallel()
	const first = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\nETag: \"v1\"\r\n\r\n0123456789"
	const part = "HTTP/1.1 206 Partial Content\r\n"
	for name, row := range map[string]struct {
		rest string
		kind fetch.Kind
	}{
		"exact":                                 {part + "ETag: \"v1\"\r\nContent-Range: bytes 10-19/20\r\nContent-Length: 10\r\n\r\nabcdefghij", ""},
		"exact, chunked":                        {part + "ETag: \"v1\"\r\nContent-Range: bytes 10-19/20\r\nTransfer-Encoding: chunked\r\n\r\na\r\nabcdefghij\r\n0\r\n\r\n", ""},
		"whole":                                 {strings.Replace(first, "v1", "v2", 1) + "abcdefghij", fetch.KindTruncated},
		"other ETag":                            {part + "ETag: \"v2\"\r\nContent-Range: bytes 10-19/20\r\nContent-Length: 10\r\n\r\nabcdefghij", fetch.KindTruncated},
		"weak ETag":                             {part + "ETag: W/\"v1\"\r\nContent-Range: bytes 10-19/20\r\nContent-Length: 10\r\n\r\nabcdefghij", fetch.KindTruncated},
		"no ETag":                               {part + "Content-Range: bytes 10-19/20\r\nContent-Length: 10\r\n\r\nabcdefghij", fetch.KindTruncated},
		"from before":                           {part + "ETag: \"v1\"\r\nContent-Range: bytes 9-19/20\r\nContent-Length: 11\r\n\r\n9abcdefghij", fetch.KindTruncated},
		"from after":                            {part + "ETag: \"v1\"\r\nContent-Range: bytes 11-19/20\r\nContent-Length: 9\r\n\r\nbcdefghij", fetch.KindTruncated},
		"not to the end":                        {part + "ETag: \"v1\"\r\nContent-Range: bytes 10-18/20\r\nContent-Length: 9\r\n\r\nabcdefghi", fetch.KindTruncated},
		"of another length":                     {part + "ETag: \"v1\"\r\nContent-Range: bytes 10-20/21\r\nContent-Length: 11\r\n\r\nabcdefghijk", fetch.KindTruncated},
		"of unknown length":                     {part + "ETag: \"v1\"\r\nContent-Range: bytes 10-19/*\r\nContent-Length: 10\r\n\r\nabcdefghij", fetch.KindTruncated},
		"of another unit":                       {part + "ETag: \"v1\"\r\nContent-Range: pixels 10-19/20\r\nContent-Length: 10\r\n\r\nabcdefghij", fetch.KindTruncated},
		"of garbage":                            {part + "ETag: \"v1\"\r\nContent-Range: bytes +10-19/20\r\nContent-Length: 10\r\n\r\nabcdefghij", fetch.KindTruncated},
		"no range":                              {part + "ETag: \"v1\"\r\nContent-Length: 10\r\n\r\nabcdefghij", fetch.KindTruncated},
		"two ranges":                            {part + "ETag: \"v1\"\r\nContent-Range: bytes 10-19/20\r\nContent-Range: bytes 10-19/20\r\nContent-Length: 10\r\n\r\nabcdefghij", fetch.KindTruncated},
		"longer by header":                      {part + "ETag: \"v1\"\r\nContent-Range: bytes 10-19/20\r\nContent-Length: 11\r\n\r\nabcdefghijk", fetch.KindTruncated},
		"longer in chunks":                      {part + "ETag: \"v1\"\r\nContent-Range: bytes 10-19/20\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nabcdefghijk\r\n0\r\n\r\n", fetch.KindTruncated},
		"shorter in chunks":                     {part + "ETag: \"v1\"\r\nContent-Range: bytes 10-19/20\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n", fetch.KindTruncated},
		"from before, but of the right size":    {part + "ETag: \"v1\"\r\nContent-Range: bytes 9-19/20\r\nTransfer-Encoding: chunked\r\n\r\na\r\n9abcdefghi\r\n0\r\n\r\n", fetch.KindTruncated},
		"not to the end, but of the right size": {part + "ETag: \"v1\"\r\nContent-Range: bytes 10-18/20\r\nTransfer-Encoding: chunked\r\n\r\na\r\nabcdefghij\r\n0\r\n\r\n", fetch.KindTruncated},
		"compressed":                            {part + "ETag: \"v1\"\r\nContent-Range: bytes 10-19/20\r\nContent-Encoding: gzip\r\nContent-Length: 10\r\n\r\nabcdefghij", fetch.KindEncoding},
		"not satisfiable":                       {"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */5\r\nContent-Length: 0\r\n\r\n", fetch.KindTruncated},
		"unavailable":                           {"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n", fetch.KindStatus},
		"redirect":                              {"HTTP/1.1 302 Found\r\nLocation: https://evil.example/\r\nContent-Length: 0\r\n\r\n", fetch.KindHostNotAllowed},
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
			content, file, err := get(t, newClient(t, atHome()), "http://"+address)
			if row.kind != "" {
				failed(t, err, row.kind)
				return
			}
			if err != nil || string(content) != "0123456789abcdefghij" || file.Resumed != 1 {
				t.Errorf("got %q, %+v, %v", content, file, err)
			}
		})
	}
}

func TestLengthThatOnlyTheRestSays(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		total int
		kind  fetch.Kind
	}{
		"fits":         {20, ""},
		"is too large": {2 << 20, fetch.KindTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := raw(t, func(conn net.Conn, number int) {
				if number == 0 {
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: \"v1\"\r\n\r\na\r\n0123456789\r\n")
					return
				}
				_, _ = fmt.Fprintf(conn, "HTTP/1.1 206 Partial Content\r\nETag: \"v1\"\r\nContent-Range: bytes 10-%d/%d\r\n\r\n", row.total-1, row.total)
				_, _ = conn.Write(noise(row.total - 10))
			})
			content, file, err := get(t, newClient(t, atHome()), "http://"+address)
			if row.kind != "" {
				failed(t, err, row.kind)
			} else if err != nil || len(content) != row.total || file.Bytes != int64(row.total) {
				t.Errorf("got %d bytes, %v", len(content), err)
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
				t.Errorf("got %q, %v", content, err)
			}
		})
	}
}

// TestBreakBeforeTheFirstByte asks for the whole file again: there is nothing to continue.
func TestBreakBeforeTheFirstByte(t *testing.T) {
	t.Parallel()
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"v1\"\r\n\r\n"
	address := raw(t, func(conn net.Conn, number int) {
		_, _ = io.WriteString(conn, head+strings.Repeat("image", min(number, 1)))
	})
	content, file, err := get(t, newClient(t, atHome()), "http://"+address)
	if err != nil || string(content) != "image" || file.Resumed != 1 {
		t.Errorf("got %q, %+v, %v", content, file, err)
	}
}

func TestOriginThatIsGoneInTheMiddle(t *testing.T) {
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
