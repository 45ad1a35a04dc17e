package fetch

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"syscall"
	"time"
)

// unknown is the length of a file whose server does not say it, as in http.Response.
const unknown = -1

// transfer is one file on its way, over one connection or several.
type transfer struct {
	client *Client
	target *url.URL
	max    int64
	w      io.Writer

	host      string    // that answered last, after redirects; without port
	written   int64     // bytes
	resumed   int       // times
	total     int64     // length of the whole file, or unknown
	validator validator // of the first answer
}

func (c *Client) newTransfer(request Request, w io.Writer) (*transfer, error) {
	target, err := c.rules.parse(request.URL)
	if err != nil {
		return nil, err
	}
	return &transfer{client: c, target: target, max: request.MaxBytes, w: w, total: unknown}, nil
}

// run gets the file, continuing it where its connection breaks.
func (t *transfer) run(ctx context.Context) error {
	for {
		err := t.attempt(ctx)
		if err == nil || !t.resumable(err) {
			return err
		}
		if !t.pause(ctx) {
			return interruption(ctx, t.target.Hostname())
		}
		t.resumed++
	}
}

// resumable says whether another connection may bring what is missing. A stall
// counts as a break, because a path that died looks like one; a slow server does
// not, because it will not be faster when asked again; an answer of any kind is the
// server's last word.
func (t *transfer) resumable(err error) bool {
	failed, ok := errors.AsType[*Error](err)
	return ok && failed.broken && t.validator != "" && t.resumed < maxResumes
}

// pause waits before a resume, longer each time and never the same for two
// clients. It is false if ctx ended first.
func (t *transfer) pause(ctx context.Context) bool {
	full := t.client.limits.pause << t.resumed
	timer := time.NewTimer(full/2 + rand.N(full))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// attempt gets the file, or its rest, over one connection.
func (t *transfer) attempt(ctx context.Context) error {
	watch := newWatch(ctx, t.client.limits)
	defer watch.end()
	wanted := condition{from: t.written, same: t.validator}
	response, err := t.client.follow(watch.ctx, t.target, wanted)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if err := t.accept(response, wanted); err != nil {
		return err
	}
	return t.copy(response, watch)
}

// accept checks the answer and learns from it.
func (t *transfer) accept(response *http.Response, wanted condition) (err error) {
	if wanted.from > 0 {
		t.total, err = wanted.checkRest(response, t.total)
	} else if err = checkAnswer(response, t.max); err == nil {
		t.total = response.ContentLength
		t.validator = validatorOf(response.Header)
	}
	t.host = response.Request.URL.Hostname()
	return err
}

// copy carries the body into w through a buffer of fixed size.
func (t *transfer) copy(response *http.Response, watch *watch) error {
	buffer, pooled := t.client.buffers.Get().(*[bufferBytes]byte)
	if !pooled {
		buffer = new([bufferBytes]byte)
	}
	defer t.client.buffers.Put(buffer)
	for {
		n, err := watch.read(response.Body, buffer[:])
		if failed := t.write(buffer[:n]); failed != nil {
			return failed
		}
		switch {
		case t.written == t.total:
			return nil // whatever comes after it
		case errors.Is(err, io.EOF):
			return t.end()
		case err != nil:
			return t.bodyFailure(watch, err)
		}
	}
}

// write carries a piece on, never more than was announced and is allowed in all.
func (t *transfer) write(piece []byte) error {
	sum := t.written + int64(len(piece))
	if sum > t.max {
		return failf(KindTooLarge, "the file has more than the allowed %d bytes", t.max)
	}
	if t.total != unknown && sum > t.total {
		return failf(KindTruncated, "the host %s sends more than the announced %d bytes", t.host, t.total)
	}
	if len(piece) == 0 {
		return nil
	}
	n, err := t.w.Write(piece)
	if err == nil && n < len(piece) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return wrapf(KindWrite, err, "the file cannot be written: %s", err)
	}
	t.written = sum
	return nil
}

// end is for a body that ended by itself. If its length was not announced, that makes
// the file whole: the ends of a chunked body and of an HTTP/2 stream are marked. Only
// the body of an HTTP/1.0 answer without a length ends with its connection, and is
// believed if that was closed in order and not reset.
func (t *transfer) end() error {
	switch {
	case t.written == 0:
		return failf(KindTruncated, "the host %s sends an empty file", t.host)
	case t.written < t.total:
		return t.cutOff(KindTruncated, io.ErrUnexpectedEOF)
	}
	return nil
}

// bodyFailure is for a body that the transport could not read to its end.
func (t *transfer) bodyFailure(watch *watch, err error) error {
	number, system := errors.AsType[syscall.Errno](err)
	switch {
	case errors.Is(err, errSlow):
		return failf(KindTimeout, "the host %s sends less than %d bytes a second", t.host, t.client.limits.speed)
	case watch.ctx.Err() != nil:
		return interruption(watch.ctx, t.host)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return t.cutOff(KindTruncated, io.ErrUnexpectedEOF)
	case system:
		return t.cutOff(KindNetwork, number)
	default:
		return t.cutOff(KindNetwork, nil)
	}
}

func (t *transfer) cutOff(kind Kind, cause error) error {
	if t.total == unknown {
		return brokenf(kind, cause, "the host %s broke off after %d bytes", t.host, t.written)
	}
	return brokenf(kind, cause, "the host %s broke off after %d of %d bytes", t.host, t.written, t.total)
}
