package googlepubsub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

const (
	scope          = "https://www.googleapis.com/auth/pubsub"
	permission     = "pubsub.topics.publish"
	tokenTimeout   = 4 * time.Second // to get a token; the library asks without a context
	maxAnswerBytes = 64 << 10
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
	publishAnswer struct {
		MessageIDs []string `json:"messageIds"`
	}
	permissions struct {
		Permissions []string `json:"permissions"`
	}
	errorAnswer struct {
		Error struct {
			Status  string `json:"status"`
			Message string `json:"message"`
		} `json:"error"`
	}
)

// answerError is an answer that is no success.
type answerError struct {
	code    int
	status  string // such as NOT_FOUND
	message string
}

// Error gives what the service said.
func (e *answerError) Error() string { return e.status + ": " + e.message }

var errNotPermitted = &answerError{code: http.StatusForbidden, status: "PERMISSION_DENIED"}

// connection is a client that has credentials; the library renews them.
type connection struct{ client, plain *http.Client }

// Alive says that requests can be tried: each has a connection if it needs one.
func (c *connection) Alive() bool { return true }

// Close ends idle connections.
func (c *connection) Close() { c.plain.CloseIdleConnections() }

// connect finds credentials.
func (t target) connect(ctx context.Context) (*connection, error) {
	plain := newClient()
	if t.isEmulator() {
		return &connection{client: plain, plain: plain}, nil
	}
	asking := &http.Client{Transport: plain.Transport, CheckRedirect: plain.CheckRedirect, Timeout: tokenTimeout}
	// The context goes along with the credentials for as long as they are used.
	found, err := google.FindDefaultCredentials(context.WithValue(context.Background(), oauth2.HTTPClient, asking), scope)
	if err != nil {
		return nil, broker.Refused("there are no credentials of Google: set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account")
	}
	if _, err := found.TokenSource.Token(); err != nil {
		plain.CloseIdleConnections()
		return nil, t.failure(ctx, broker.Message{}, err)
	}
	return &connection{
		client: &http.Client{Transport: &oauth2.Transport{Source: found.TokenSource, Base: plain.Transport}, CheckRedirect: plain.CheckRedirect},
		plain:  plain,
	}, nil
}

// mayPublish asks for the permission, which may be asked by anybody who has credentials.
func (c *connection) mayPublish(ctx context.Context, t target) error {
	var granted permissions
	if err := c.call(ctx, t, "testIamPermissions", permissions{[]string{permission}}, &granted); err != nil {
		return err
	}
	if len(granted.Permissions) == 0 {
		return errNotPermitted
	}
	return nil
}

// call does something with the topic, or gets it where method is "".
func (c *connection) call(ctx context.Context, t target, method string, body, answer any) error {
	verb, address, text := http.MethodGet, t.endpoint+"/v1/"+t.topic, []byte(nil)
	if method != "" {
		verb, address = http.MethodPost, address+":"+method
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, verb, address, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // it is read
	read, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return failedAnswer(response.StatusCode, read)
	}
	if err := json.Unmarshal(read, answer); err != nil {
		return errors.New("the answer is not that of Google Pub/Sub")
	}
	return nil
}

func failedAnswer(code int, text []byte) error {
	var said errorAnswer
	_ = json.Unmarshal(text, &said) // what is no JSON says nothing
	return &answerError{code: code, status: broker.Quote(said.Error.Status), message: broker.Quote(said.Error.Message)}
}
