package webhook

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"

	"github.com/deepimage-receiver/receiver/internal/problem"
)

// firstStep is the memory with which the reading of a body begins, in bytes: enough
// for the usual callback, and little for a client that declares much and sends nothing.
const firstStep = 4 << 10

// body is what has been read of a request, in memory that is paid for from the budget.
type body struct {
	bytes  []byte
	budget *budget
	paid   int64
}

// release gives the memory back to the budget. The bytes must not be used any more.
func (b *body) release() {
	b.budget.give(b.paid)
	b.bytes, b.paid = nil, 0
}

// readBody reads the body of a request into memory. It reads nothing if a length
// over the limit is declared, and at most one byte over the limit otherwise. The
// memory grows with what arrives, never with what is promised. What is returned
// is to be released, also beside an error.
func (i *Endpoint) readBody(r *http.Request) (*body, error) {
	b := &body{budget: i.budget}
	most := int64(i.config.MaxBodyBytes)
	if r.ContentLength > most {
		return b, tooLarge(most)
	}
	if r.ContentLength >= 0 {
		most = r.ContentLength
	}
	for {
		if len(b.bytes) == cap(b.bytes) {
			if int64(len(b.bytes)) == most {
				err := b.end(r.Body, most)
				return b, err
			}
			if err := b.grow(most); err != nil {
				return b, err
			}
		}
		n, err := r.Body.Read(b.bytes[len(b.bytes):cap(b.bytes)])
		b.bytes = b.bytes[:len(b.bytes)+n]
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return b, incomplete(err)
		}
	}
}

// grow doubles the memory, up to most bytes. The part that is copied is counted once,
// because the old memory is free as soon as it is copied.
func (b *body) grow(most int64) error {
	held := int64(cap(b.bytes))
	size := min(max(2*held, firstStep), most)
	if !b.budget.take(size - held) {
		return problem.Unavailable("Too many callbacks are being received at the same time.", nil)
	}
	b.paid += size - held
	grown := make([]byte, len(b.bytes), size)
	copy(grown, b.bytes)
	b.bytes = grown
	return nil
}

// end makes sure that nothing follows the most bytes that a body may have.
func (b *body) end(r io.Reader, most int64) error {
	var next [1]byte
	n, err := io.ReadFull(r, next[:])
	switch {
	case n > 0:
		return tooLarge(most)
	case errors.Is(err, io.EOF):
		return nil
	default:
		return incomplete(err)
	}
}

func tooLarge(most int64) error {
	return &problem.Error{Code: problem.CodeTooLarge, Detail: "A body may have at most " + strconv.FormatInt(most, 10) + " bytes."}
}

// incomplete says why a body ended early. The cause is for the log only.
func incomplete(err error) error {
	detail := "The body broke off. Nothing was stored; send it again."
	if errors.Is(err, os.ErrDeadlineExceeded) {
		detail = "The body did not arrive in time. Nothing was stored; send it again."
	}
	return &problem.Error{Code: problem.CodeIncomplete, Detail: detail, Err: err}
}
