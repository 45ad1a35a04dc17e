package forward

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/httpclient"
)

const (
	answerTime  = 5 * time.Second // to read what is said beside the status
	idleTime    = 90 * time.Second
	maxAnswer   = 4 << 10  // bytes of an answer's body that are read
	writeBuffer = 64 << 10 // bytes that are read of an image at once
)

// newTransport makes connections to one target. Targets are the operator's: a proxy from the
// environment is used, private addresses are dialled.
func newTransport(config Config) *http.Transport {
	transport := httpclient.NewTransport(nil)
	transport.Proxy = http.ProxyFromEnvironment
	transport.MaxIdleConnsPerHost = config.Concurrency
	transport.IdleConnTimeout = idleTime
	transport.WriteBufferSize = writeBuffer
	return transport
}

// errSilent is the cause of the end of a call whose target does nothing.
var errSilent = errors.New("the target does nothing")

// call sends the message and says what the answer means. When it returns, nobody reads the
// message any more.
func (h *Handler) call(ctx context.Context, e event.Event, m *message) (handler.Outcome, error) {
	limited, cancel := context.WithCancelCause(ctx)
	silence := time.AfterFunc(h.config.Timeout, func() { cancel(errSilent) })
	sent := &body{
		ctx: limited, rest: m.pieces, closed: make(chan struct{}),
		begin: func() { silence.Stop() },
		end: func(all bool) {
			if all {
				silence.Reset(h.config.Timeout + underWay(m.length()))
			} else {
				silence.Reset(h.config.Timeout)
			}
		},
	}
	defer func() {
		cancel(nil)
		<-sent.closed // RoundTrip closes it in any case, perhaps later than it returns
		silence.Stop()
	}()
	request, err := h.request(limited, e, m, sent)
	if err != nil {
		_ = sent.Close()
		return handler.Outcome{}, err
	}
	response, err := h.transport.RoundTrip(request)
	if err != nil {
		return handler.Outcome{}, h.callFailure(limited, sent, err)
	}
	defer func() { _ = response.Body.Close() }()
	said := h.read(response, silence)
	if err := sent.failure(); err != nil { // it spoke too early, and cannot have got all
		return handler.Outcome{}, h.callFailure(limited, sent, err)
	}
	return h.verdict(response, said)
}

// underWay is how long the end of a body of this length may still be in the buffers of the
// network when all is written, on a slow line.
func underWay(length int64) time.Duration {
	const buffers, bytesPerSecond = 4 << 20, 64 << 10
	return time.Duration(min(length, buffers)) * time.Second / bytesPerSecond
}

func (h *Handler) request(ctx context.Context, e event.Event, m *message, sent *body) (*http.Request, error) {
	request := (&http.Request{
		Method: http.MethodPost, URL: h.target.address, Host: h.target.address.Host,
		Header: h.header.Clone(), Body: sent, ContentLength: m.length(),
	}).WithContext(ctx)
	maps.Copy(request.Header, m.header)
	return request, h.signer.sign(request.Header, e.ID, time.Now(), m.signed)
}

// read gives the beginning of what the target says beside the status. What cannot be read in
// time does not count: the status says all.
func (h *Handler) read(response *http.Response, silence *time.Timer) []byte {
	silence.Reset(min(answerTime, h.config.Timeout))
	said, _, _ := httpclient.ReadAtMost(response.Body, maxAnswer)
	return said
}
