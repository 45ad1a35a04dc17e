package webhook_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/api/apitest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/httpserver"
	"github.com/deepimage-receiver/receiver/internal/memory"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/deepimage-receiver/receiver/internal/webhook"
	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

// waitLimit is how long a test waits for an expected result. The deadlines of the server are
// longer, so that a result caused by them comes too late.
const waitLimit = 30 * time.Second

const (
	token    = "Token-1-of-the-tests"
	newToken = "t0ken 2/with%odd+chars"
	sample   = `{"job":"ce0e7624-634e-11ee-a699-0242ac14000b","result_url":"https://deep-image.ai/images/a.png","results":null}`
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memoryInbox keeps events in memory, once for each job and digest. It returns fail, and calls entered, if set, before it
// stores.
type memoryInbox struct {
	fail    error
	entered func(ctx context.Context)

	mu       sync.Mutex
	ids      map[string]event.ID // by job and digest
	events   []event.Event
	rejected []event.Rejection
}

func (m *memoryInbox) Accept(ctx context.Context, e event.Event) (event.Receipt, error) {
	if m.entered != nil {
		m.entered(ctx)
	}
	if err := errors.Join(m.fail, ctx.Err()); err != nil {
		return event.Receipt{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := e.Job + "/" + e.Digest.String()
	if id, ok := m.ids[key]; ok {
		return event.Receipt{ID: id, Duplicate: true}, nil
	}
	if m.ids == nil {
		m.ids = make(map[string]event.ID)
	}
	e.ID = event.ID(uuid.Must(uuid.NewV7()).String())
	m.ids[key], m.events = e.ID, append(m.events, e)
	return event.Receipt{ID: e.ID}, nil
}

func (m *memoryInbox) Reject(ctx context.Context, r event.Rejection) error {
	if err := errors.Join(m.fail, ctx.Err()); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rejected = append(m.rejected, r)
	return nil
}

// kept returns the events and the rejections.
func (m *memoryInbox) kept() ([]event.Event, []event.Rejection) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.events, m.rejected
}

// has reports whether there is an event of this job.
func (m *memoryInbox) has(job string) bool {
	events, _ := m.kept()
	return slices.ContainsFunc(events, func(e event.Event) bool { return e.Job == job })
}

// options are the settings of a test server.
type options struct {
	inbox   *memoryInbox
	webhook webhook.Config
	server  httpserver.Config
	ready   func() error
	tokens  string
	wrap    func(http.Handler) http.Handler // wraps the endpoint
}

func defaults() options {
	return options{
		inbox:   &memoryInbox{},
		webhook: webhook.Config{MaxBodyBytes: 64 << 10, InFlightBytes: 1 << 20, AcceptTimeout: waitLimit},
		server: httpserver.Config{
			ListenAddr: "127.0.0.1:0", ReadHeaderTimeout: 2 * waitLimit, ReadTimeout: 2 * waitLimit,
			WriteTimeout: 3 * waitLimit, IdleTimeout: 2 * waitLimit, MaxHeaderBytes: 8 << 10, MaxConnections: 10_000,
		},
		ready:  func() error { return nil },
		tokens: token + "," + newToken,
		wrap:   func(h http.Handler) http.Handler { return h },
	}
}

func newServer(t testing.TB, o options, log io.Writer) *httpserver.Server {
	t.Helper()
	var tokens secret.List
	if err := tokens.Decode(o.tokens); err != nil {
		t.Fatal(err)
	}
	endpoint, err := webhook.New(o.webhook, webhook.Deps{Inbox: o.inbox, Tokens: tokens, Memory: memory.New(int64(o.webhook.InFlightBytes)), Ready: o.ready})
	if err != nil {
		t.Fatal(err)
	}
	server, err := httpserver.New(o.server, httpserver.Deps{Log: zerolog.New(log), Webhook: o.wrap(endpoint)})
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// running is a server with the endpoint, on loopback.
type running struct {
	*httpserver.Server
	inbox    *memoryInbox
	document *apitest.Document
	address  string
	url      string
	client   *http.Client // validates every response against the specification
}

// start starts a server. At the end of the test no token may be in the log.
func start(t *testing.T, o options) *running {
	t.Helper()
	log := &testkit.Log{}
	server := newServer(t, o, log)
	address, err := server.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("shutdown error = %v, want none", err)
		}
		for _, secret := range []string{token, newToken, "t0ken+2", "t0ken%202"} {
			if strings.Contains(strings.ToLower(log.String()), strings.ToLower(secret)) {
				t.Errorf("got the token %q in the log, want none of it:\n%s", secret, log)
			}
		}
	})
	document := apitest.Load(t)
	return &running{
		Server: server, inbox: o.inbox, document: document, address: address.String(), url: "http://" + address.String(),
		client: &http.Client{Transport: document.Transport(t, transport), Timeout: waitLimit},
	}
}

// post sends a callback with the token in the path.
func (s *running) post(t *testing.T, body string) (*http.Response, string) {
	t.Helper()
	return s.send(t, http.MethodPost, event.WebhookPath+"/"+token, nil, strings.NewReader(body))
}

func (s *running) send(t *testing.T, method, path string, header http.Header, body io.Reader) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(request.Header, header)
	response, err := s.client.Do(request)
	if err != nil {
		t.Fatalf("%s %s: error = %v, want a response", method, path, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}

// dial opens a raw connection.
func (s *running) dial(t *testing.T) net.Conn {
	t.Helper()
	var dialer net.Dialer
	connection, err := dialer.DialContext(t.Context(), "tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	if err := connection.SetDeadline(time.Now().Add(waitLimit)); err != nil {
		t.Fatal(err)
	}
	return connection
}
