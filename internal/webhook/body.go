package webhook

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"

	"github.com/deepimage-receiver/receiver/internal/memory"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/deepimage-receiver/receiver/internal/sourcelimit"
)

// initialBytes is the memory that a body gets first. It fits the usual callback. It is a part of what a connection takes, so the
// budget does not count it, and a client that declares much and sends nothing costs no more.
const initialBytes = 4 << 10

// body is a request body in memory that the budget counts.
type body struct {
	bytes    []byte
	original []byte        // what bytes were decoded from; nil if they came as they are
	part     *memory.Part  // of the lease
	lease    *memory.Lease // for both
}

// size returns the bytes of its memory.
func (b *body) size() int64 { return int64(cap(b.bytes) + cap(b.original)) }

// release returns the memory to the budget. The bytes must not be used afterwards.
func (b *body) release() {
	b.lease.Release()
	*b = body{}
}

// readBody reads the body of a request into memory. It reads nothing if the declared length is
// over MaxBodyBytes, and at most one byte more than MaxBodyBytes otherwise. It waits for memory in two steps, for a small body and for
// all of a larger one.
func (e *Endpoint) readBody(r *http.Request, b *body) error {
	limit, reserved := int64(e.config.MaxBodyBytes), growing(int64(e.config.MaxBodyBytes))
	if r.ContentLength > limit {
		return tooLarge(limit)
	}
	if r.ContentLength >= 0 {
		limit, reserved = r.ContentLength, r.ContentLength
	}
	for _, step := range []struct {
		part            *memory.Part // nil for memory that is not counted
		reserved, bytes int64
	}{
		{nil, initialBytes, min(limit, initialBytes)},
		{e.deps.Memory.Small, min(reserved, memory.SmallBytes), min(limit, memory.SmallBytes)},
		{e.deps.Memory.Large, reserved, limit},
	} {
		if err := e.acquire(r, b, step.part, step.reserved); err != nil {
			return err
		}
		if ended, err := b.fill(r.Body, step.bytes, r.ContentLength >= 0); ended || err != nil {
			b.lease.Shrink(int64(cap(b.bytes)))
			return err
		}
		if step.bytes == limit {
			break
		}
	}
	return checkEnd(r.Body, limit)
}

// growing returns the memory for a body of unknown length up to limit: its last two buffers.
func growing(limit int64) int64 { return limit + limit/2 }

// acquire waits until the body has n bytes of a part of the budget, in place of what it had before.
func (e *Endpoint) acquire(r *http.Request, b *body, part *memory.Part, n int64) error {
	if part == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), e.config.AcceptTimeout)
	defer cancel()
	if part == b.part {
		return inProgress(b.lease.Grow(ctx, n))
	}
	lease, err := part.Acquire(ctx, sourcelimit.Source(problem.RequestInfoFrom(r.Context()).Client), n)
	if err == nil {
		b.lease.Release()
		b.part, b.lease = part, lease
	}
	return inProgress(err)
}

// inProgress returns the answer to a body for which there is no memory; nil without an error.
func inProgress(err error) error {
	if err == nil {
		return nil
	}
	return problem.Unavailable("Too many callbacks are in progress.", err)
}

// fill reads until there are limit bytes or the reader ends. The memory gets its size at once if the length is known, else it grows with
// the bytes that arrive. Another error of reader becomes CodeIncomplete.
func (b *body) fill(reader io.Reader, limit int64, known bool) (ended bool, err error) {
	for int64(len(b.bytes)) < limit {
		if len(b.bytes) == cap(b.bytes) {
			size := limit
			if !known {
				size = min(max(2*int64(cap(b.bytes)), initialBytes), limit)
			}
			b.bytes = append(make([]byte, 0, size), b.bytes...)
		}
		n, err := reader.Read(b.bytes[len(b.bytes):min(int64(cap(b.bytes)), limit)])
		b.bytes = b.bytes[:len(b.bytes)+n]
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, incomplete(err)
		}
	}
	return false, nil
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
