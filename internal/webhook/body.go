package webhook

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/deepimage-receiver/receiver/internal/problem"
)

// initialBytes is the memory that a body gets first. It fits the usual callback, and a client
// that declares much and sends nothing costs no more.
const initialBytes = 4 << 10

// budget bounds the memory of all bodies in progress, in bytes.
type budget struct{ free atomic.Int64 }

func newBudget(bytes int64) *budget {
	b := &budget{}
	b.free.Store(bytes)
	return b
}

// Acquire reserves n bytes. It returns false if fewer are free.
func (b *budget) Acquire(n int64) bool {
	if b.free.Add(-n) >= 0 {
		return true
	}
	b.free.Add(n)
	return false
}

// Release returns n bytes.
func (b *budget) Release(n int64) { b.free.Add(n) }

// body is a request body in memory that the budget counts.
type body struct {
	bytes    []byte
	budget   *budget
	acquired int64
}

// release returns the memory to the budget. The bytes must not be used afterwards.
func (b *body) release() {
	b.budget.Release(b.acquired)
	b.bytes, b.acquired = nil, 0
}

// readBody reads the body of a request into memory. It reads nothing if the declared length is
// over MaxBodyBytes, and at most one byte more than MaxBodyBytes otherwise. The memory grows with
// the bytes that arrive, not with the declared length. The caller releases the body, also after an error.
func (e *Endpoint) readBody(r *http.Request) (*body, error) {
	b := &body{budget: e.budget}
	limit := int64(e.config.MaxBodyBytes)
	if r.ContentLength > limit {
		return b, tooLarge(limit)
	}
	if r.ContentLength >= 0 {
		limit = r.ContentLength
	}
	err := b.read(r.Body, limit)
	return b, err
}

// read reads all of reader, which may have limit bytes, into memory. Another error of reader becomes CodeIncomplete.
func (b *body) read(reader io.Reader, limit int64) error {
	for {
		if len(b.bytes) == cap(b.bytes) {
			if int64(len(b.bytes)) == limit {
				return checkEnd(reader, limit)
			}
			if err := b.grow(limit); err != nil {
				return err
			}
		}
		n, err := reader.Read(b.bytes[len(b.bytes):cap(b.bytes)])
		b.bytes = b.bytes[:len(b.bytes)+n]
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return incomplete(err)
		}
	}
}

// grow doubles the memory, up to limit bytes.
func (b *body) grow(limit int64) error {
	size := min(max(2*int64(cap(b.bytes)), initialBytes), limit)
	if err := b.acquire(size - int64(cap(b.bytes))); err != nil {
		return err
	}
	grown := make([]byte, len(b.bytes), size)
	copy(grown, b.bytes)
	b.bytes = grown
	return nil
}

// acquire reserves n bytes of the budget until release.
func (b *body) acquire(n int64) error {
	if !b.budget.Acquire(n) {
		return problem.Unavailable("Too many callbacks are in progress.", nil)
	}
	b.acquired += n
	return nil
}

// checkEnd returns an error unless r ends here, after limit bytes.
func checkEnd(r io.Reader, limit int64) error {
	var next [1]byte
	n, err := io.ReadFull(r, next[:])
	switch {
	case n > 0:
		return tooLarge(limit)
	case errors.Is(err, io.EOF):
		return nil
	default:
		return incomplete(err)
	}
}

func tooLarge(limit int64) error {
	return &problem.Error{
		Code:   problem.CodeTooLarge,
		Detail: "A body may have at most " + strconv.FormatInt(limit, 10) + " bytes. See RECEIVER_WEBHOOK_MAX_BODY_BYTES.",
	}
}

// incomplete returns the answer to a body that ended early because of err.
func incomplete(err error) error {
	detail := "The connection broke before the body was complete. Nothing was stored; send it again."
	if errors.Is(err, os.ErrDeadlineExceeded) {
		detail = "The body did not arrive in time. Nothing was stored; send it again."
	}
	return &problem.Error{Code: problem.CodeIncomplete, Detail: detail, Err: err}
}
