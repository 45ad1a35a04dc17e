package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/httpclient"
)

const (
	responseTime     = 5 * time.Second // to read the body of a response
	idleTime         = 90 * time.Second
	maxResponseBytes = 4 << 10  // of a response's body
	writeBuffer      = 64 << 10 // bytes of an image that are read at once
)

// newTransport returns a transport for one target. Targets are configured by the operator: a proxy of the environment
// is used, and private addresses are dialled.
func newTransport(config Config) *http.Transport {
	transport := httpclient.NewTransport(nil)
	transport.Proxy = http.ProxyFromEnvironment
	transport.MaxIdleConnsPerHost = config.Concurrency
	transport.IdleConnTimeout = idleTime
	transport.WriteBufferSize = writeBuffer
	if config.CertFile != "" {
		config.certificate().Use(transport.TLSClientConfig)
	}
	return transport
}

// errStalled is the cause of a context that ended because the target neither read nor responded.
var errStalled = errors.New("the target stalled")

// call is a request under way. Its context ends when the target stalls for the timeout. The time in which the body is
// read from a bucket does not count.
type call struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	stall   *time.Timer
	timeout time.Duration
	body    *body
}

func newCall(ctx context.Context, m *message, timeout time.Duration) *call {
	limited, cancel := context.WithCancelCause(ctx)
	c := &call{ctx: limited, cancel: cancel, timeout: timeout}
	c.stall = time.AfterFunc(timeout, func() { cancel(errStalled) })
	c.body = &body{
		ctx: limited, rest: m.pieces, closed: make(chan struct{}),
		beforeRead: func() { c.stall.Stop() },
		afterRead: func(isLast bool) {
			if isLast {
				c.stall.Reset(timeout + bufferedTime(m.length()))
			} else {
				c.stall.Reset(timeout)
			}
		},
	}
	return c
}

// close ends the call. When it returns, the message is no longer read.
func (c *call) close() {
	c.cancel(nil)
	<-c.body.closed // RoundTrip always closes it, perhaps after it has returned
	c.stall.Stop()
}

// read returns the start of a response's body. Errors are ignored: the status decides.
func (c *call) read(response io.Reader) []byte {
	c.stall.Reset(min(responseTime, c.timeout))
	content, _, _ := httpclient.ReadAtMost(response, maxResponseBytes)
	return content
}

// bufferedTime returns how long the end of a body of this length may be in network buffers after it was written, on a
// slow connection.
func bufferedTime(length int64) time.Duration {
	const buffers, bytesPerSecond = 4 << 20, 64 << 10
	return time.Duration(min(length, buffers)) * time.Second / bytesPerSecond
}

// callFailure classifies a call without a response. The text of the transport is not shown: it can quote what was sent.
func (h *Handler) callFailure(c *call, err error) error {
	host := h.target.host
	switch source := c.body.failure(); {
	case errors.Is(context.Cause(c.ctx), errStalled):
		return handler.Retry(event.ReasonTimeout, fmt.Errorf("%s stalled for %s (RECEIVER_FORWARD_TIMEOUT)", host, h.config.Timeout))
	case errors.Is(c.ctx.Err(), context.DeadlineExceeded):
		return handler.Retry(event.ReasonTimeout, fmt.Errorf("%s did not respond before the deadline: %w", host, c.ctx.Err()))
	case c.ctx.Err() != nil:
		return fmt.Errorf("the request to %s was cancelled: %w", host, c.ctx.Err())
	case source != nil:
		return &sourceError{sourceFailure(source)}
	}
	network := httpclient.Classify(err)
	reason := event.ReasonOther
	switch {
	case network.Class == httpclient.ClassTimeout:
		reason = event.ReasonTimeout
	case network.IsUnreachable():
		reason = event.ReasonUnreachable
	}
	if network.WantsCertificate {
		network.Text += " (RECEIVER_FORWARD_CERT_FILE and RECEIVER_FORWARD_KEY_FILE set it)"
	}
	return handler.Retry(reason, fmt.Errorf("%s %s", host, network.Text))
}
