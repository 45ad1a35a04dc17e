package deepimage

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/deepimage-receiver/receiver/internal/httpclient"
)

// answer is what the API answered.
type answer struct {
	status    int
	header    http.Header
	body      []byte
	oversized bool // body is only the beginning
}

// newTransport makes the way to the one host that gets the key. The proxy of the environment
// is used as by any client of an address that the operator configured: it tunnels TLS and sees no key.
func newTransport(config Config, chosen options) *http.Transport {
	transport := httpclient.NewTransport(chosen.roots)
	transport.Proxy = http.ProxyFromEnvironment
	transport.MaxIdleConnsPerHost = config.Concurrency
	return transport
}

func resultPath(job string) string { return "/result/" + url.PathEscape(job) }

// inTurn makes one call at its pace and within its time, and calls it off when the client is closed.
func (c *Client) inTurn(ctx context.Context, p *pace, timeout time.Duration, call func(context.Context) *Error) *Error {
	if !c.life.begin() {
		return gaveUp(c.life.ctx)
	}
	defer c.life.running.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life.ctx, cancel)()
	return p.do(ctx, func() *Error {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return call(ctx)
	})
}

// call sends one request, once, and reads the answer, whatever its status. It follows no
// redirect: the key goes to the configured host only. A body is sent as JSON. A failure is of
// KindOutcome if the request may have arrived and may have changed something.
func (c *Client) call(ctx context.Context, method, path string, body []byte) (answer, *Error) {
	var connected atomic.Bool // from then on something may have been sent
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), method, c.base.String()+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, failf(KindUnavailable, "the address of the call cannot be made of the configured one")
	}
	request.Header = http.Header{
		"X-Api-Key":       {c.key.Reveal()}, // documented
		"User-Agent":      {c.userAgent},
		"Accept":          {"application/json"},
		"Accept-Encoding": {"identity"},
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	got, err := c.exchange(request)
	if err == nil {
		return got, nil
	}
	failed := c.explain(ctx, err)
	if method == http.MethodPost && connected.Load() {
		return answer{}, uncertain(failed)
	}
	return answer{}, failed
}

func (c *Client) exchange(request *http.Request) (answer, error) {
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, oversized, err := httpclient.ReadAtMost(response.Body, maxAnswerBytes)
	if err != nil {
		return answer{}, err
	}
	return answer{status: response.StatusCode, header: response.Header, body: body, oversized: oversized}, nil
}

// explain says in our words why there is no answer. The transport's own go no further: they can
// quote what a server sent, and a server can send the key back.
func (c *Client) explain(ctx context.Context, err error) *Error {
	if ctx.Err() != nil {
		return gaveUp(ctx)
	}
	network := httpclient.Classify(err)
	failed := failf(KindUnavailable, "the Deep Image API at %s %s", c.base.Host, network.Text)
	failed.Err = network.Cause
	return failed
}
