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

// padded is a callback of exactly n bytes.
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
	door := start(t, defaults())
	t.Cleanup(func() {
		events, rejected := door.inbox.kept()
		if len(events) != 1 || len(events[0].Body) != limit || len(rejected) != 0 { // the second at the limit is a duplicate
			t.Errorf("stored are %d events and %d rejected bodies", len(events), len(rejected))
		}
	})
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			response, body := door.send(t, http.MethodPost, event.WebhookPath+"/"+token, nil, row.body)
			if response.StatusCode != row.want {
				t.Errorf("answered %d %s, want %d", response.StatusCode, body, row.want)
			}
		})
	}
}

// meter gives out a's for ever and counts them.
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
	o.door.MaxBodyBytes = limit
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
				t.Errorf("answered %d after %d bytes, want %d after at most %d", answer.Code, answer.read, row.status, row.most)
			}
		})
	}
}

// atAnswer notes how much had been read when the answer was given.
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
			door := start(t, defaults())
			connection := door.dial(t)
			_, _ = fmt.Fprintf(connection, "POST %s/%s HTTP/1.1\r\nHost: receiver\r\n%s", event.WebhookPath, token, row.rest)
			closeWrite(t, connection)
			door.expect(t, connection, http.StatusRequestTimeout)
			if events, rejected := door.inbox.kept(); len(events)+len(rejected) != 0 {
				t.Errorf("stored are %v %v", events, rejected)
			}
		})
	}
}

func TestSlowBody(t *testing.T) {
	t.Parallel()
	o := defaults()
	o.server.ReadTimeout = 200 * time.Millisecond
	door := start(t, o)
	connection := door.dial(t)
	_, _ = fmt.Fprintf(connection, "POST %s/%s HTTP/1.1\r\nHost: receiver\r\nContent-Length: 1000\r\n\r\n{", event.WebhookPath, token)
	door.expect(t, connection, http.StatusRequestTimeout)
}

func closeWrite(t *testing.T, connection io.Writer) {
	t.Helper()
	half, ok := connection.(interface{ CloseWrite() error })
	if !ok {
		t.Fatal("the connection cannot be closed by halves")
	}
	if err := half.CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

// expect reads an answer to a callback and the end of the connection.
func (d *running) expect(t *testing.T, connection io.Reader, status int) {
	t.Helper()
	reader := bufio.NewReader(connection)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	defer func() { _ = response.Body.Close() }()
	if err := d.document.Validate(http.MethodPost, event.WebhookPath+"/"+token, response); err != nil {
		t.Error(err)
	}
	if response.StatusCode != status || !response.Close {
		t.Errorf("answered %d, closing %t; want %d", response.StatusCode, response.Close, status)
	}
	if _, err := reader.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the answer came %v, want the end", err)
	}
}

// The budget counts what has arrived, and is free again afterwards.
func TestBudget(t *testing.T) {
	t.Parallel()
	o := defaults()
	o.door.MaxBodyBytes, o.door.InFlightBytes = 16<<10, 32<<10
	handler := newServer(t, o, io.Discard).Router()
	serve := func(body io.Reader, length int64) *httptest.ResponseRecorder {
		request := httptest.NewRequest(http.MethodPost, event.WebhookPath+"/"+token, http.NoBody)
		request.Body, request.ContentLength = io.NopCloser(body), length
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		return answer
	}
	var pipes []*io.PipeWriter
	answers := make(chan *httptest.ResponseRecorder, 8)
	hold := func(bytes int, length int64) {
		reader, writer := io.Pipe()
		pipes = append(pipes, writer)
		go func() { answers <- serve(reader, length) }()
		if _, err := writer.Write(make([]byte, bytes)); err != nil { // returns when all of it was read
			t.Fatal(err)
		}
	}
	for range 3 {
		hold(5<<10, 16<<10) // each has 8 KiB
	}
	hold(1, -1) // 4 KiB: what is left are 4
	if answer := serve(strings.NewReader(padded(4<<10)), 4<<10); answer.Code != http.StatusOK {
		t.Errorf("a body that fits was answered %d %s", answer.Code, answer.Body)
	}
	for name, length := range map[string]int64{"declared": 4<<10 + 1, "chunked": -1} {
		answer := serve(strings.NewReader(padded(4<<10+1)), length)
		if answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") == "" {
			t.Errorf("%s: a body over the budget was answered %d %s", name, answer.Code, answer.Body)
		}
	}
	for _, pipe := range pipes {
		_ = pipe.CloseWithError(io.ErrUnexpectedEOF)
		if answer := <-answers; answer.Code != http.StatusRequestTimeout {
			t.Errorf("a body that broke off was answered %d", answer.Code)
		}
	}
	hold(16<<10-1, 16<<10)
	hold(16<<10-1, 16<<10) // all of it
	for _, pipe := range pipes[len(pipes)-2:] {
		_ = pipe.Close()
		if answer := <-answers; answer.Code != http.StatusBadRequest {
			t.Errorf("a body of zeros was answered %d", answer.Code)
		}
	}
}
