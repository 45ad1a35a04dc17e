package googlepubsub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
	"github.com/deepimage-receiver/receiver/internal/httpclient"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

const (
	scope            = "https://www.googleapis.com/auth/pubsub"
	permission       = "pubsub.topics.publish"
	tokenTimeout     = 4 * time.Second // to get a token; the library has no context for that
	idlePerHost      = 64
	maxResponseBytes = 64 << 10
)

// The bodies of the REST API (https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.topics/publish).
type (
	publishRequest struct {
		Messages []publishedMessage `json:"messages"`
	}
	publishedMessage struct {
		Data       []byte            `json:"data"` // base64
		Attributes map[string]string `json:"attributes"`
	}
	publishResponse struct {
		MessageIDs []string `json:"messageIds"`
	}
	permissions struct {
		Permissions []string `json:"permissions"`
	}
	errorResponse struct {
		Error struct {
			Status  string `json:"status"`
			Message string `json:"message"`
		} `json:"error"`
	}
)

// responseError is a response with another status than 200.
type responseError struct {
	code    int
	status  string // such as NOT_FOUND
	message string
}

// Error returns status and message of the service.
func (e *responseError) Error() string { return e.status + ": " + e.message }

var errNotPermitted = &responseError{code: http.StatusForbidden, status: "PERMISSION_DENIED"}

// connection is a client with credentials, which the library renews.
type connection struct {
	target        target
	client, plain *http.Client
}

// Alive returns true: each request connects as needed.
func (c *connection) Alive() bool { return true }

// Close closes idle connections.
func (c *connection) Close() { c.plain.CloseIdleConnections() }

// newClient returns a client without credentials. It follows no redirects. The context bounds a request.
func newClient() *http.Client {
	transport := httpclient.NewTransport(nil)
	transport.Proxy = http.ProxyFromEnvironment
	transport.MaxIdleConnsPerHost = idlePerHost
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// connect finds the credentials and gets a first token.
func (t target) connect(ctx context.Context) (*connection, error) {
	plain := newClient()
	if t.isEmulator() {
		return &connection{target: t, client: plain, plain: plain}, nil
	}
	tokens := &http.Client{Transport: plain.Transport, CheckRedirect: plain.CheckRedirect, Timeout: tokenTimeout}
	// The credentials keep the context for as long as they are used.
	found, err := google.FindDefaultCredentials(context.WithValue(context.Background(), oauth2.HTTPClient, tokens), scope)
	if err != nil {
		return nil, broker.Refused("there are no Google credentials: set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account")
	}
	if _, err := found.TokenSource.Token(); err != nil {
		plain.CloseIdleConnections()
		return nil, t.failure(ctx, broker.Message{}, err)
	}
	return &connection{
		target: t,
		client: &http.Client{Transport: &oauth2.Transport{Source: found.TokenSource, Base: plain.Transport}, CheckRedirect: plain.CheckRedirect},
		plain:  plain,
	}, nil
}

// checkPermission returns an error if the credentials may not publish. Any credentials may make this call.
func (c *connection) checkPermission(ctx context.Context) error {
	var granted permissions
	if err := c.call(ctx, "testIamPermissions", permissions{[]string{permission}}, &granted); err != nil {
		return err
	}
	if len(granted.Permissions) == 0 {
		return errNotPermitted
	}
	return nil
}

// call calls a method of the topic, or gets the topic if method is empty.
func (c *connection) call(ctx context.Context, method string, body, into any) error {
	verb, url, text := http.MethodGet, c.target.endpoint+"/v1/"+c.target.topic, []byte(nil)
	if method != "" {
		verb, url = http.MethodPost, url+":"+method
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, verb, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // it is read
	content, _, err := httpclient.ReadAtMost(response.Body, maxResponseBytes)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return newResponseError(response.StatusCode, content)
	}
	if err := json.Unmarshal(content, into); err != nil {
		return errors.New("the response is not that of Google Pub/Sub")
	}
	return nil
}

func newResponseError(code int, content []byte) error {
	var response errorResponse
	_ = json.Unmarshal(content, &response) // a response without JSON has no details
	return &responseError{code: code, status: broker.Quote(response.Error.Status), message: broker.Quote(response.Error.Message)}
}
