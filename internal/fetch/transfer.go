package fetch

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"syscall"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/httpclient"
)

// unknown is the length of a file that the server does not announce, as in http.Response.
const unknown = -1

// transfer gets one file over one or several connections.
type transfer struct {
	client *Client
	target *url.URL
	max    int64
	w      io.Writer
	share  *share

	lengthRequired bool

	host      string    // of the last response, after redirects; without port
	written   int64     // bytes
	offset    int64     // in the file, of the next byte of this connection; less than written while an overlap is compared
	resumed   int       // times
	total     int64     // length of the whole file, or unknown
	validator validator // of the first response; "" if the transfer cannot be resumed
	tail      tail      // of what was written; nil if the transfer cannot be resumed
}

func (c *Client) newTransfer(request Request, w io.Writer) (*transfer, error) {
	target, err := c.rules.parse(request.URL)
	if err != nil {
		return nil, err
	}
	return &transfer{client: c, target: target, max: request.MaxBytes, w: w, lengthRequired: request.LengthRequired, total: unknown}, nil
}

// run gets the file and resumes it after a broken connection.
func (t *transfer) run(ctx context.Context) error {
	for {
		err := t.attempt(ctx)
		if err == nil || !t.resumable(err) {
			return err
		}
		if background.Sleep(ctx, background.Jitter(t.client.limits.pause<<t.resumed)) != nil {
			return interruption(ctx, t.target.Hostname())
		}
		t.resumed++
	}
}

// resumable reports whether a new connection may get the rest, or the whole file if HTTP/2 failed before its first byte. A stall
// counts as a broken connection, because a dead path looks like one. A slow server and an unusable response do not.
func (t *transfer) resumable(err error) bool {
	failed, ok := errors.AsType[*Error](err)
	return ok && failed.broken && (t.validator != "" || failed.http2 && t.written == 0) && t.resumed < maxResumes
}

// attempt gets the file, or its rest, over one connection.
func (t *transfer) attempt(ctx context.Context) error {
	guard := newStallGuard(ctx, t.client.limits)
	defer guard.end()
	wanted := t.wanted()
	response, err := t.client.follow(guard.ctx, t.target, wanted)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if err := t.accept(response, wanted); err != nil {
		if failed, ok := errors.AsType[*Error](err); ok && failed.Kind == KindStatus {
			failed.Body = readHead(response, guard)
			if t.client.proxy != "" && failed.Status == http.StatusProxyAuthRequired && response.Request.URL.Scheme == "http" {
				failed.Kind = KindProxy // over TLS only the host itself can answer
			}
		}
		return err
	}
	err = t.copy(response, guard)
	if err == nil {
		t.client.protocols.worked(response)
	}
	return err
}

// wanted requests the rest of the file, with the last bytes that were written once more. Servers send the same ETag for other
// bytes, so that the headers alone prove nothing.
func (t *transfer) wanted() condition {
	if t.written == 0 {
		return condition{}
	}
	return condition{from: t.written - min(t.written, int64(len(t.tail))), same: t.validator}
}

// accept checks the response and takes over its length and validator.
func (t *transfer) accept(response *http.Response, wanted condition) (err error) {
	t.offset = wanted.from
	if wanted.same != "" {
		err = wanted.checkRest(response, t.total)
	} else if err = checkResponse(response, t.max); err == nil {
		t.begin(response)
	}
	t.host = response.Request.URL.Hostname()
	if err == nil && t.lengthRequired && t.total == unknown {
		err = failf(KindTruncated, "the host %s does not announce the length of the file", t.host)
	}
	return err
}

// begin takes over the length and validator of a whole file. Without a length the rest cannot be proven to be of that file.
func (t *transfer) begin(response *http.Response) {
	t.total, t.validator, t.tail = response.ContentLength, validatorOf(response.Header), nil
	if isGzip(response.Header) { // the length and offsets of the file are not those of the body
		t.total = unknown
		response.Body = &decodedBody{gunzip: gunzip{body: bufio.NewReader(response.Body)}, Closer: response.Body}
	}
	if t.total == unknown {
		t.validator = ""
	}
	if t.validator != "" {
		t.tail = newTail(t.total, t.client.limits.overlap)
	}
}

// decodedBody is the body of a response that may be compressed.
type decodedBody struct {
	gunzip
	io.Closer
}

// copy copies the body to w through a buffer of fixed size.
func (t *transfer) copy(response *http.Response, guard *stallGuard) error {
	buffer, pooled := t.client.buffers.Get().(*[bufferBytes]byte)
	if !pooled {
		buffer = new([bufferBytes]byte)
	}
	defer t.client.buffers.Put(buffer)
	for {
		n, err := guard.read(response.Body, buffer[:])
		t.share.add(n)
		t.client.metrics.bytes.Add(float64(n))
		rest, failed := t.compare(buffer[:n])
		if failed == nil {
			failed = t.write(rest)
		}
		if failed != nil {
			return failed
		}
		switch {
		case t.written == t.total:
			return nil // more bytes after the announced length are ignored
		case errors.Is(err, io.EOF):
			return t.end()
		case err != nil:
			t.client.protocols.failed(response.Request.URL.Host, err)
			return t.bodyFailure(guard, err)
		}
	}
}

// compare compares what the piece repeats with what was written, and returns what follows.
func (t *transfer) compare(piece []byte) ([]byte, error) {
	n := min(int64(len(piece)), t.written-t.offset)
	if !t.tail.holds(t.offset, piece[:n]) {
		return nil, changed(t.host)
	}
	t.offset += n
	return piece[n:], nil
}

// write writes a piece, never more than is announced and allowed in all.
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
	t.tail.add(t.written, piece)
	t.written, t.offset = sum, sum
	return nil
}

// end checks a body that has ended. Without an announced length the file is whole then: the ends of a chunked body and of
// an HTTP/2 stream are marked. Only the body of an HTTP/1.0 response without a length ends with its connection; it counts
// as whole if the connection was closed and not reset.
func (t *transfer) end() error {
	switch {
	case t.written == 0:
		return failf(KindTruncated, "the host %s sends an empty file", t.host)
	case t.written < t.total:
		return t.cutOff(KindTruncated, io.ErrUnexpectedEOF)
	}
	return nil
}

// bodyFailure returns the error for a body that could not be read to its end.
func (t *transfer) bodyFailure(guard *stallGuard, err error) error {
	number, system := errors.AsType[syscall.Errno](err)
	switch {
	case errors.Is(err, errSlow):
		return wrapf(KindTimeout, errSlow, "the host %s sends less than %d bytes per second", t.host, t.client.limits.speed)
	case guard.ctx.Err() != nil:
		return interruption(guard.ctx, t.host)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return t.cutOff(KindTruncated, io.ErrUnexpectedEOF)
	case system:
		return t.cutOff(KindNetwork, number)
	default:
		failed := t.cutOff(KindNetwork, nil)
		failed.http2 = httpclient.IsHTTP2Failure(err)
		return failed
	}
}

func (t *transfer) cutOff(kind Kind, cause error) *Error {
	if t.total == unknown {
		return brokenf(kind, cause, "the host %s closed the connection after %d bytes", t.host, t.written)
	}
	return brokenf(kind, cause, "the host %s closed the connection after %d of %d bytes", t.host, t.written, t.total)
}
