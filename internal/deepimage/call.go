package deepimage

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"syscall"
	"time"
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
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: chosen.roots},
		TLSHandshakeTimeout:    dialTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true, // no bomb, and what is read is what was sent
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    config.Concurrency,
		IdleConnTimeout:        time.Minute,
	}
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
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes+1))
	if err != nil {
		return answer{}, err
	}
	return answer{
		status: response.StatusCode, header: response.Header,
		body: body[:min(len(body), maxAnswerBytes)], oversized: len(body) > maxAnswerBytes,
	}, nil
}

// explain says in our words why there is no answer. The transport's own go no further: they can
// quote what a server sent, and a server can send the key back.
func (c *Client) explain(ctx context.Context, err error) *Error {
	if ctx.Err() != nil {
		return gaveUp(ctx)
	}
	complaint, cause := complaintOf(err)
	failed := failf(KindUnavailable, "the Deep Image API at %s %s", c.base.Host, complaint)
	failed.Err = cause
	return failed
}

// complaintOf says what the host did, and gives what of an error may be passed on.
func complaintOf(err error) (complaint string, cause error) {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "could not be found in DNS", nil
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "has a certificate that is not valid", nil
	}
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		if number == syscall.ECONNREFUSED {
			return "refused the connection", number
		}
		return "could not be talked to: " + number.Error(), number
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return "did not answer in time", nil
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "closed the connection too early", io.ErrUnexpectedEOF
	}
	return "does not speak HTTP as it should", nil
}
