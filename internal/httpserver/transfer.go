package httpserver

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// How long a client that still sends is listened to after its answer: in silence,
// altogether, and in bytes. To close at once would reset the connection, and the
// client might never see the answer.
const (
	lingerIdle  = 2 * time.Second
	lingerTime  = 15 * time.Second
	lingerBytes = 64 << 20
)

// body counts what is read of a request's body and knows whether it ended.
type body struct {
	io.ReadCloser
	bytes  int64
	ended  bool // nothing is left to read
	failed bool // reading on is of no use
}

// Read reads from the body.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.bytes += int64(n)
	switch {
	case errors.Is(err, io.EOF):
		b.ended = true
	case err != nil:
		b.failed = true
	}
	return n, err
}

// response counts what is answered, and closes the connection after an answer
// that was given before the whole body was read.
type response struct {
	http.ResponseWriter
	body   *body
	status int // 0 until the header section is sent
	bytes  int64
}

// Unwrap lets http.ResponseController find what the server's own writer can do.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader sends the header section.
func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
		w.hangUp()
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the body.
func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// hangUp announces that the connection will be closed if a part of the body is
// unread. Without it net/http would read that part before it sends the answer.
func (w *response) hangUp() {
	if w.body.ended {
		return
	}
	w.Header().Set("Connection", "close")
	// A writer without deadlines, as in tests, has no client to wait for either.
	_ = http.NewResponseController(w.ResponseWriter).SetReadDeadline(time.Now().Add(lingerIdle))
}

// linger sends the answer and throws away what the client still sends, within
// bounds. A client that waits for a "100 Continue" is not going to send anything.
func (w *response) linger(r *http.Request) {
	if w.status == 0 || w.body.ended || w.body.failed || r.Header.Get("Expect") != "" {
		return
	}
	connection := http.NewResponseController(w.ResponseWriter)
	if err := connection.Flush(); err != nil {
		return
	}
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
