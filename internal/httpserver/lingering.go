package httpserver

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// Bounds of lingering: after the response, the server reads and discards what the client still
// sends. Closing at once would reset the connection, and the client might not see the response.
const (
	lingerIdle  = 2 * time.Second  // without a byte
	lingerTime  = 15 * time.Second // in total
	lingerBytes = 64 << 20
)

// body counts the bytes of a request body and records its end.
type body struct {
	io.ReadCloser
	bytes  int64
	ended  bool // read completely
	failed bool // a read failed

	connection *countedConn // nil in tests without one
	throughput throughput
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.throughput.beforeRead(b.bytes)
	n, err := b.ReadCloser.Read(p)
	b.throughput.afterRead()
	b.bytes += int64(n)
	if b.connection != nil {
		b.connection.bytes.Store(b.bytes)
	}
	switch {
	case errors.Is(err, io.EOF):
		b.ended = true
		b.throughput.end()
		b.connection.setPhase(phaseBusy)
	case err != nil:
		b.failed = true
	}
	return n, err
}

// response counts the bytes of a response. It closes the connection if the response begins
// before the whole request body was read.
type response struct {
	http.ResponseWriter
	body   *body
	status int // 0 until the header section is sent
	bytes  int64
}

// Unwrap returns the server's writer, for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// SetReadDeadline replaces the deadline of the request, for http.ResponseController.
func (w *response) SetReadDeadline(deadline time.Time) error {
	w.body.throughput.last = deadline
	return http.NewResponseController(w.ResponseWriter).SetReadDeadline(deadline)
}

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
		w.closeConn()
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// closeConn announces the close of the connection if the request body is not read completely.
// Otherwise net/http would read the rest before it sends the response.
func (w *response) closeConn() {
	if w.body.ended {
		return
	}
	w.Header().Set("Connection", "close")
	// Writers of tests have no deadlines.
	_ = http.NewResponseController(w.ResponseWriter).SetReadDeadline(time.Now().Add(lingerIdle))
}

// lingerClose flushes the response and discards what the client still sends, within the bounds.
// A client that waits for "100 Continue" sends nothing more.
func (w *response) lingerClose(r *http.Request) {
	if w.status == 0 || w.body.ended || w.body.failed || r.Header.Get("Expect") != "" {
		return
	}
	connection := http.NewResponseController(w.ResponseWriter)
	if err := connection.Flush(); err != nil {
		return
	}
	w.body.throughput = throughput{}
	w.body.connection.setPhase(phaseLinger) // its response is sent
	end := time.Now().Add(lingerTime)
	buffer := make([]byte, 32<<10)
	for left := lingerBytes; left > 0; {
		idle := time.Now().Add(lingerIdle)
		if idle.After(end) {
			return
		}
		if err := connection.SetReadDeadline(idle); err != nil {
			return
		}
		n, err := w.body.Read(buffer)
		if err != nil {
			return
		}
		left -= n
	}
}
