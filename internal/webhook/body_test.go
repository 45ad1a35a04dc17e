package webhook_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// padded returns a callback of exactly n bytes.
func padded(n int) string {
	const head, tail = `{"job":"a","data":"`, `"}`
	return head + strings.Repeat("x", n-len(head)-len(tail)) + tail
}

// unsized hides the length of a body, so that it is sent in chunks.
func unsized(body string) io.Reader { return io.MultiReader(strings.NewReader(body)) }

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	rows := []struct {
		name string
		body io.Reader
		want int
	}{
		{"declared, at the limit", strings.NewReader(padded(limit)), 200},
		{"declared, over it by one", strings.NewReader(padded(limit + 1)), 413},
		{"declared, far over it", strings.NewReader(padded(16 << 20)), 413},
		{"chunked, at the limit", unsized(padded(limit)), 200},
		{"chunked, over it by one", unsized(padded(limit + 1)), 413},
		{"chunked, far over it", unsized(padded(16 << 20)), 413},
	}
	server := start(t, defaults())
	t.Cleanup(func() {
		events, rejected := server.inbox.kept()
		if len(events) != 1 || len(events[0].Body) != limit || len(rejected) != 0 { // the second at the limit is a duplicate
			t.Errorf("stored %d events and %d rejections, want 1 of %d bytes and 0", len(events), len(rejected), limit)
		}
	})
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			response, body := server.send(t, http.MethodPost, event.WebhookPath+"/"+token, nil, row.body)
			if response.StatusCode != row.want {
				t.Errorf("response = %d %s, want %d", response.StatusCode, body, row.want)
			}
		})
	}
}

// meter is an endless body that counts what is read.
type meter struct{ read int64 }

func (m *meter) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	m.read += int64(len(p))
	return len(p), nil
}

func (m *meter) Close() error { return nil }

func TestNoMoreThanTheLimitIsRead(t *testing.T) {
	t.Parallel()
	const limit = 5000 // no multiple of the steps in which memory grows
	o := defaults()
	o.webhook.MaxBodyBytes = limit
	handler := newServer(t, o, io.Discard).Router()
	rows := []struct {
		name, token string
		declared    int64
		status      int
		most        int64
	}{
		{"chunked", token, -1, 413, limit + 1},
		{"declared", token, limit + 1, 413, 0},
		{"without a token", "wrong", -1, 401, 0},
		{"without a token, declared", "wrong", 10, 401, 0},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			body := &meter{}
			request := httptest.NewRequest(http.MethodPost, event.WebhookPath+"/"+row.token, http.NoBody)
			request.Body, request.ContentLength = body, row.declared
			answer := &atAnswer{ResponseRecorder: httptest.NewRecorder(), body: body}
			handler.ServeHTTP(answer, request)
			if answer.Code != row.status || answer.read > row.most {
				t.Errorf("status, bytes read = %d, %d, want %d, at most %d", answer.Code, answer.read, row.status, row.most)
			}
		})
	}
}

// atAnswer records how much had been read when the response began.
type atAnswer struct {
	*httptest.ResponseRecorder
	body *meter
	read int64
}

func (a *atAnswer) WriteHeader(status int) {
	a.read = a.body.read
	a.ResponseRecorder.WriteHeader(status)
}

func TestBodyThatDoesNotArriveWhole(t *testing.T) {
	t.Parallel()
	rows := []struct{ name, rest string }{
		{"declared, broken off", "Content-Length: 1000\r\n\r\n{\"job\":"},
		{"declared, nothing came", "Content-Length: 1000\r\n\r\n"},
		{"chunked, broken off", "Transfer-Encoding: chunked\r\n\r\n7\r\n{\"job\":\r\n"},
		{"chunked, no length of a chunk", "Transfer-Encoding: chunked\r\n\r\nzz\r\n"},
		{"chunked, length of a chunk too long", "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := start(t, defaults())
			connection := server.dial(t)
			_, _ = fmt.Fprintf(connection, "POST %s/%s HTTP/1.1\r\nHost: receiver\r\n%s", event.WebhookPath, token, row.rest)
			closeWrite(t, connection)
			server.expect(t, connection, http.StatusRequestTimeout)
			if events, rejected := server.inbox.kept(); len(events)+len(rejected) != 0 {
				t.Errorf("stored %v and %v, want nothing", events, rejected)
			}
		})
	}
}

func TestSlowBody(t *testing.T) {
	t.Parallel()
	o := defaults()
	o.server.ReadTimeout = 200 * time.Millisecond
	server := start(t, o)
	connection := server.dial(t)
	_, _ = fmt.Fprintf(connection, "POST %s/%s HTTP/1.1\r\nHost: receiver\r\nContent-Length: 1000\r\n\r\n{", event.WebhookPath, token)
	server.expect(t, connection, http.StatusRequestTimeout)
}

func closeWrite(t *testing.T, connection io.Writer) {
	t.Helper()
	half, ok := connection.(interface{ CloseWrite() error })
	if !ok {
		t.Fatalf("connection is a %T, want one with CloseWrite", connection)
	}
	if err := half.CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

// expect reads a response to a callback and the end of the connection.
func (s *running) expect(t *testing.T, connection io.Reader, status int) {
	t.Helper()
	reader := bufio.NewReader(connection)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatalf("error = %v, want a response", err)
	}
	defer func() { _ = response.Body.Close() }()
	if err := s.document.Validate(http.MethodPost, event.WebhookPath+"/"+token, response); err != nil {
		t.Error(err)
	}
	if response.StatusCode != status || !response.Close {
		t.Errorf("status, close = %d, %t, want %d, true", response.StatusCode, response.Close, status)
	}
	if _, err := reader.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("error after the response = %v, want EOF", err)
	}
}

// TestBudget waits for memory, within the shares of sources and of small bodies, and releases it.
func TestBudget(t *testing.T) {
	t.Parallel()
	const largest = 256 << 10
	o := defaults()
	// 128 KiB for small bodies, 512 KiB for others, of which a source gets 384.
	o.webhook.MaxBodyBytes, o.webhook.InFlightBytes, o.webhook.AcceptTimeout = largest, 1<<20, 50*time.Millisecond
	handler := newServer(t, o, io.Discard).Router()
	serve := func(source string, body io.Reader, length int64) int {
		request := httptest.NewRequest(http.MethodPost, event.WebhookPath+"/"+token, http.NoBody)
		request.Body, request.ContentLength, request.RemoteAddr = io.NopCloser(body), length, source+":1"
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		if answer.Code == http.StatusServiceUnavailable && answer.Header().Get("Retry-After") == "" {
			t.Errorf("header = %v, want Retry-After with 503", answer.Header())
		}
		return answer.Code
	}
	const one, two, three = "192.0.2.1", "192.0.2.2", "192.0.2.3"
	hold := func(source string, bytes int, length int64) (end func(want int)) {
		reader, writer := io.Pipe()
		status := make(chan int, 1)
		go func() { status <- serve(source, reader, length) }()
		if _, err := writer.Write(make([]byte, bytes)); err != nil { // returns when all of it was read
			t.Fatal(err)
		}
		return func(want int) {
			t.Helper()
			_ = writer.CloseWithError(io.ErrUnexpectedEOF)
			if got := <-status; got != want {
				t.Errorf("status of a body that broke off = %d, want %d", got, want)
			}
		}
	}
	expect := func(name, source string, bytes int, length int64, want int) {
		t.Helper()
		if got := serve(source, strings.NewReader(padded(bytes)), length); got != want {
			t.Errorf("%s: status = %d, want %d", name, got, want)
		}
	}
	first := hold(one, 70<<10, largest)
	expect("D3 a source has its share", one, largest, largest, 503)
	expect("D3 a source has its share, chunked", one, largest, -1, 503)
	expect("D3 small bodies of a source with its share", one, 64<<10, 64<<10, 200)
	expect("D3 another source", two, largest, largest, 200)
	second := hold(two, 70<<10, largest)
	expect("D3 all is used", three, largest, largest, 503)
	expect("D3 small bodies while all is used", three, 64<<10-1, -1, 200)
	var silent []func(int)
	for range 200 {
		silent = append(silent, hold(two, 4<<10-1, largest))
	}
	expect("D3 silent bodies take nothing", three, 64<<10, 64<<10, 200)
	for _, end := range append(silent, first, second) {
		end(http.StatusRequestTimeout)
	}
	expect("D3 all is released", one, largest, largest, 200)
	expect("D3 all is released, chunked", one, largest, -1, 200)

	expectText := func(name, text string, want int) {
		t.Helper()
		if got := serve(one, strings.NewReader(text), int64(len(text))); got != want {
			t.Errorf("%s: status = %d, want %d", name, got, want)
		}
	}
	expectText("D1 both copies are longer than the share", stored(padded(250<<10)), 200)
	third := hold(one, 70<<10, 150<<10)
	expectText("D1 fits beside another body", padded(120<<10), 200)
	expectText("D1 one of its copies fits beside another body", stored(padded(120<<10)), 503)
	third(http.StatusRequestTimeout)
	for range 10 {
		panicking := io.MultiReader(strings.NewReader(padded(70<<10)), panickingReader{})
		if got := serve(one, panicking, largest); got != http.StatusInternalServerError {
			t.Errorf("D1 status of a request that panics = %d, want 500", got)
		}
	}
	expect("D1 all is released after panics", one, largest, largest, 200)
}

type panickingReader struct{}

func (panickingReader) Read([]byte) (int, error) { panic("read") }
