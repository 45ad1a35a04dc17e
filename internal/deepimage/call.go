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

// response is a response of the API.
type response struct {
	status    int
	header    http.Header
	body      []byte
	oversized bool // body is only the beginning
}

// newTransport returns the transport to the one host that gets the key. It uses the proxy of the environment, as any
// client of an operator's URL does: the proxy tunnels TLS and does not see the key.
func newTransport(config Config, chosen options) *http.Transport {
	transport := httpclient.NewTransport(chosen.roots)
	transport.Proxy = http.ProxyFromEnvironment
	transport.MaxIdleConnsPerHost = config.Concurrency
	return transport
}

func resultPath(job string) string { return "/result/" + url.PathEscape(job) }

// throttled makes one call within the limits of t and within its timeout. Close cancels it.
func (c *Client) throttled(ctx context.Context, t *throttle, timeout time.Duration, call func(context.Context) *Error) *Error {
	if !c.inFlight.begin() {
		return cancelled(c.inFlight.ctx)
	}
	defer c.inFlight.calls.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.inFlight.ctx, cancel)()
	return t.do(ctx, func() *Error {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		failed := call(ctx)
		c.keyState.observe(failed, now())
		return failed
	})
}

// call sends one request, once, and returns the response of any status. It follows no redirect: the key goes to the
// configured host only. A body is sent as JSON. The error is of KindOutcome if a POST may have arrived.
func (c *Client) call(ctx context.Context, method, path string, body []byte) (response, *Error) {
	var connected atomic.Bool // from then on the request may have been sent
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), method, c.base.String()+path, bytes.NewReader(body))
	if err != nil {
		return response{}, failf(KindUnavailable, "the address of the call cannot be made from the configured one")
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
	got, err := c.roundTrip(request)
	if err == nil {
		return got, nil
	}
	failed := c.networkError(ctx, err)
	if method == http.MethodPost && connected.Load() {
		return response{}, unknownOutcome(failed)
	}
	return response{}, failed
}

func (c *Client) roundTrip(request *http.Request) (response, error) {
	got, err := c.transport.RoundTrip(request)
	if err != nil {
		return response{}, err
	}
	defer func() { _ = got.Body.Close() }()
	body, oversized, err := httpclient.ReadAtMost(got.Body, maxResponseBytes)
	if err != nil {
		return response{}, err
	}
	return response{status: got.StatusCode, header: got.Header, body: body, oversized: oversized}, nil
}

// networkError returns the meaning of a transport's error. That error is not wrapped: it can quote what the server
// sent, and a server can send the key back.
func (c *Client) networkError(ctx context.Context, err error) *Error {
	if ctx.Err() != nil {
		return cancelled(ctx)
	}
	network := httpclient.Classify(err)
	failed := failf(KindUnavailable, "the Deep Image API at %s %s", c.base.Host, network.Text)
	failed.Err = network.Cause
	return failed
}
