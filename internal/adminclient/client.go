// Package adminclient is a client of the receiver's admin API, for commands. When no receiver is running, the same
// client works in offline mode: requests are answered in this process, from the store.
package adminclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/deepimage-receiver/receiver/internal/httpclient"
	"github.com/deepimage-receiver/receiver/internal/sanitize"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

const (
	requestTimeout   = 30 * time.Second
	maxResponseBytes = 64 << 20 // the payload of an event may be long
	maxIdle          = 16       // idle connections
	maxRequestID     = 64       // bytes
)

// Offline answers requests of the admin API from the store, without a receiver.
type Offline interface {
	http.RoundTripper
	Close(ctx context.Context) error
}

// Options say where the admin API is.
type Options struct {
	URL   string       // of the admin listener, such as http://127.0.0.1:8081
	Token secret.Value // zero if the listener needs none
	// OpenOffline is called once, when the connection to the listener is refused. Nil means that there is no offline mode.
	OpenOffline func(ctx context.Context) (Offline, error)
}

// Client calls the admin API. Only offline mode restricts it to one goroutine.
type Client struct {
	base        *url.URL
	token       secret.Value
	http        *http.Client
	openOffline func(context.Context) (Offline, error)
	offline     Offline // nil until openOffline was called
}

// InputError is an input that was rejected before or by the receiver: another input could succeed.
type InputError struct{ text string }

// Error returns the sentence.
func (e *InputError) Error() string { return e.text }

func badInput(format string, values ...any) error { return &InputError{fmt.Sprintf(format, values...)} }

// StatusError is an error response of the admin API.
type StatusError struct {
	Status     int           // HTTP status
	RetryAfter time.Duration // 0 if the request must not be sent again
	text       string
}

// Error returns the status and the detail of the response.
func (e *StatusError) Error() string { return e.text }

// UnreachableError says that no connection was made, so that no receiver has seen the request.
type UnreachableError struct{ error }

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.error }

// New returns a client. It connects with the first request. The caller closes it.
func New(options Options) (*Client, error) {
	base, err := url.Parse(options.URL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || base.User != nil {
		return nil, badInput("the URL of the admin listener must be complete, such as http://127.0.0.1:8081, without user and password")
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: maxIdle}
	return &Client{
		base: base, token: options.Token, openOffline: options.OpenOffline,
		http: &http.Client{Transport: transport, CheckRedirect: keepRedirect},
	}, nil
}

// keepRedirect returns a redirect as the response: the token must not go to another address.
func keepRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Close closes connections and, in offline mode, the store.
func (c *Client) Close(ctx context.Context) error {
	c.http.CloseIdleConnections()
	if c.offline == nil {
		return nil
	}
	return c.offline.Close(context.WithoutCancel(ctx))
}

// IsOffline reports whether requests are answered from the store, so that their effects wait for the next start of a receiver.
func (c *Client) IsOffline() bool { return c.offline != nil }

// get reads a resource into result.
func (c *Client) get(ctx context.Context, path string, query url.Values, result any) error {
	return c.call(ctx, http.MethodGet, path, query, nil, result)
}

// post performs an action and reads its result.
func (c *Client) post(ctx context.Context, path string, query url.Values, body, result any) error {
	return c.call(ctx, http.MethodPost, path, query, body, result)
}

func (c *Client) call(ctx context.Context, method, path string, query url.Values, body, result any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	content, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("adminclient: %w", err)
	}
	response, err := c.attempt(ctx, method, path, query, content, body != nil)
	if errors.Is(err, syscall.ECONNREFUSED) && c.openOffline != nil {
		if err := c.goOffline(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		response, err = c.attempt(ctx, method, path, query, content, body != nil)
	}
	if err != nil {
		return err
	}
	return c.decode(response, result)
}

func (c *Client) attempt(ctx context.Context, method, path string, query url.Values, content []byte, hasBody bool) (response, error) {
	var body io.Reader
	if hasBody {
		body = bytes.NewReader(content)
	}
	request, err := c.newRequest(ctx, method, path, query, body)
	if err != nil {
		return response{}, err
	}
	return c.send(request)
}

// goOffline opens the store. Later requests are answered from it.
func (c *Client) goOffline(ctx context.Context) (err error) {
	if c.offline, err = c.openOffline(ctx); err != nil {
		c.offline = nil // an interface that holds a nil pointer is not nil
		return err
	}
	c.openOffline, c.base, c.http = nil, &url.URL{Scheme: "http", Host: "localhost"}, &http.Client{Transport: c.offline}
	return nil
}

func (c *Client) newRequest(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Request, error) {
	address := c.base.JoinPath("/api/v1", path)
	address.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, method, address.String(), body)
	if err != nil {
		return nil, fmt.Errorf("adminclient: %w", withoutURL(err))
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("User-Agent", httpclient.UserAgent())
	if !c.token.IsZero() {
		request.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	return request, nil
}

// response is a whole response of the admin API.
type response struct {
	code    int
	status  string // the code with its name
	header  http.Header
	content []byte
}

// send sends a request and reads the response, whatever its status.
func (c *Client) send(request *http.Request) (response, error) {
	received, err := c.http.Do(request)
	if err != nil {
		failed := fmt.Errorf("no response from the admin listener at %s; is the receiver running? %w", c.base.Host, withoutURL(err))
		if operation, ok := errors.AsType[*net.OpError](err); ok && operation.Op == "dial" {
			failed = &UnreachableError{failed}
		}
		return response{}, failed
	}
	defer received.Body.Close() //nolint:errcheck // only read from
	content, err := io.ReadAll(io.LimitReader(received.Body, maxResponseBytes))
	if err != nil {
		return response{}, fmt.Errorf("the response of the admin listener at %s ended early: %w", c.base.Host, err)
	}
	return response{code: received.StatusCode, status: received.Status, header: received.Header, content: content}, nil
}

// decode reads the body of a good response into result: unchanged into a *[]byte, else as JSON. An error response is an *InputError or a *StatusError.
func (c *Client) decode(r response, result any) error {
	if r.code >= http.StatusMultipleChoices {
		return statusError(r)
	}
	if raw, ok := result.(*[]byte); ok {
		if len(r.content) == maxResponseBytes {
			return fmt.Errorf("the response of %s is longer than %d bytes", c.base.Host, maxResponseBytes-1)
		}
		*raw = r.content
		return nil
	}
	if err := json.Unmarshal(r.content, result); err != nil {
		return fmt.Errorf("the response of %s is not that of a receiver's admin API", c.base.Host)
	}
	return nil
}

func statusError(r response) error {
	var problem struct {
		Detail    string
		RequestID string `json:"request_id"`
	}
	_ = json.Unmarshal(r.content, &problem) // a proxy's response has no detail
	text := "the receiver answered " + r.status
	if problem.Detail != "" {
		text += ": " + problem.Detail
	}
	if r.code >= http.StatusInternalServerError && problem.RequestID != "" {
		text += " The request id is " + sanitize.Line(problem.RequestID, maxRequestID) + "."
	}
	switch r.code {
	case http.StatusBadRequest:
		return badInput("%s", text)
	case http.StatusUnauthorized:
		text += " Set RECEIVER_ADMIN_TOKEN"
	}
	return &StatusError{Status: r.code, RetryAfter: retryAfter(r), text: strings.TrimSpace(text)}
}

// withoutURL removes the URL from an error of an HTTP client.
func withoutURL(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}
