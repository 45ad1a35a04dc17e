package forward_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/forward"
	"github.com/deepimage-receiver/receiver/internal/handler/handlertest"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/rs/zerolog"
)

func TestMain(m *testing.M) { handlertest.Main(m) }

// timeout bounds every wait of a test.
const timeout = 20 * time.Second

// call is a complete request at a target.
type call struct {
	header   http.Header
	body     []byte
	protocol int // 1 or 2
}

// target is a system that events are forwarded to. By default it responds 204.
type target struct {
	*httptest.Server
	respond http.HandlerFunc // sees the body too; nil answers 204

	mutex  sync.Mutex
	calls  []call
	broken []error // of incomplete bodies
}

func newTarget(t testing.TB, respond http.HandlerFunc) *target {
	t.Helper()
	made := &target{respond: respond}
	made.Server = httptest.NewServer(made)
	t.Cleanup(made.Close)
	return made
}

// ServeHTTP keeps the call, if it comes whole, and answers.
func (s *target) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	s.mutex.Lock()
	if err != nil {
		s.broken = append(s.broken, err)
	} else {
		s.calls = append(s.calls, call{r.Header.Clone(), body, r.ProtoMajor})
	}
	s.mutex.Unlock()
	switch {
	case err != nil:
	case s.respond == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.respond(w, r)
	}
}

func (s *target) got() []call {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return append([]call(nil), s.calls...)
}

// the is the one call that there was.
func (s *target) the(t testing.TB) call {
	t.Helper()
	calls := s.got()
	if len(calls) != 1 {
		t.Fatalf("calls = %d, want 1", len(calls))
	}
	return calls[0]
}

// effects returns the bodies by webhook-id, as a system that ignores duplicates sees them.
func (s *target) effects(*testing.T) map[string]string {
	effects := map[string]string{}
	for _, c := range s.got() {
		sum := sha256.Sum256(append([]byte(c.header.Get("Content-Type")+c.header.Get("Receiver-Event")), c.body...))
		id := c.header.Get("Webhook-Id")
		if effects[id] == "" {
			effects[id] = hex.EncodeToString(sum[:])
		} else if effects[id] != hex.EncodeToString(sum[:]) {
			effects[id] = "not the same each time"
		}
	}
	return effects
}

// always answers with the status and the text.
func always(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
}

// whsec is a secret made of a letter.
func whsec(letter string) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(letter, 32)))
}

func list(items ...string) (l secret.List) {
	for _, item := range items {
		l = append(l, secret.New(item))
	}
	return l
}

// to returns a configuration with one target and generous limits.
func to(address string) forward.Config {
	return forward.Config{
		URLs: list(address), Mode: "event", Timeout: timeout, Concurrency: 8, Rate: 10_000,
		CircuitFailures: 1000, CircuitPause: time.Second, MaxBytes: 1 << 20, MaxPixels: 1_000_000,
	}
}

// fixture has the dependencies of a handler: a vendor to fetch from, and a bucket.
type fixture struct {
	*fakevendortest.Vendor
	bucket blobstore.Bucket
	deps   handler.Deps
	events int
}

func newFixture(t testing.TB, log zerolog.Logger) *fixture {
	t.Helper()
	vendor, err := fakevendortest.Start(t.Context(), fakevendortest.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, vendor.Close()) })
	var loopback configtypes.Prefixes
	must(t, loopback.Decode("127.0.0.0/8"))
	client, err := fetch.New(fetch.Config{AllowedHosts: configtypes.List{"127.0.0.1"}, AllowedCIDRs: loopback, AllowHTTP: true})
	must(t, err)
	t.Cleanup(func() { _ = client.Close() })
	folder := (&url.URL{Scheme: "file", Path: t.TempDir()}).String()
	bucket, err := blobstore.Open(t.Context(), folder)
	must(t, err)
	t.Cleanup(func() { must(t, bucket.Close()) })
	made := &fixture{Vendor: vendor, bucket: bucket}
	made.deps = handler.Deps{Fetch: client, Log: log, DefaultBucketURL: folder, Redact: event.Redact, Artifacts: made}
	return made
}

// Open reads what store stored.
func (h *fixture) Open(ctx context.Context, artifact event.Artifact) (*blobstore.Object, error) {
	return h.bucket.Open(ctx, artifact.Key)
}

// Delete deletes what store stored.
func (h *fixture) Delete(ctx context.Context, artifact event.Artifact) error {
	return h.bucket.Delete(ctx, artifact.Key)
}

// Link is an address that says for how long, as a signed one does.
func (h *fixture) Link(_ context.Context, artifact event.Artifact) (string, error) {
	return "https://bucket/" + artifact.Key + "?X-Amz-Signature=s1gnature", nil
}

// handler makes the handler of a configuration with one target; the caller closes it.
func (h *fixture) handler(t testing.TB, config forward.Config) *forward.Handler {
	t.Helper()
	must(t, config.Validate())
	deps := h.deps
	deps.Step = config.Steps()[0].Name
	made, err := forward.New(t.Context(), config, deps)
	must(t, err)
	return made
}

// open is handler, closed at the end of the test.
func (h *fixture) open(t testing.TB, config forward.Config) *forward.Handler {
	t.Helper()
	made := h.handler(t, config)
	t.Cleanup(func() { must(t, made.Close()) })
	return made
}

// event makes a job and the event of its callback.
func (h *fixture) event(t testing.TB, options fakevendortest.JobOptions) (event.Event, fakevendortest.Job) {
	t.Helper()
	job, err := h.NewJob(options)
	must(t, err)
	return h.eventOf(t, h.Callback(job, "https://me/webhooks/deep-image/token")), job
}

func (h *fixture) eventOf(t testing.TB, body []byte) event.Event {
	t.Helper()
	e, err := event.Decode(body)
	must(t, err)
	h.events++
	e.ID = event.ID(fmt.Sprintf("0198c0de-7000-7000-8000-%012d", h.events))
	e.Received = time.Date(2026, 1, 2, 3, 4, 5, 678_000, time.UTC)
	return e
}

// store stores the images of a job, as the handler download does, and records them in the event.
func (h *fixture) store(t testing.TB, e event.Event, job fakevendortest.Job) event.Event {
	t.Helper()
	for index, image := range job.Images {
		spool, err := h.bucket.Spool(t.Context())
		must(t, err)
		err = h.deps.Fetch.Get(t.Context(), fetch.Request{URL: image.URL, MaxBytes: 1 << 30}, spool)
		must(t, err)
		key := fmt.Sprintf("%s/%d.png", job.ID, index)
		must(t, h.bucket.Put(t.Context(), key, spool, blobstore.Attributes{}))
		must(t, spool.Close())
		e.Artifacts = append(e.Artifacts, event.Artifact{
			Handler: "download", Index: index, Source: event.RedactURL(image.URL), Key: key, URL: h.bucket.URL(key), Bytes: image.Bytes,
			SHA256: image.SHA256, MediaType: "image/png", Width: image.Width, Height: image.Height, Stored: time.Now(),
		})
	}
	return e
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// document is the JSON about an event.
type document struct {
	ID  string
	Job string
	event.Names
	ReceivedAt time.Time `json:"received_at"`
	ResultURLs []string  `json:"result_urls"`
	Data       json.RawMessage
	Artifacts  []artifact
	Artifact   artifact
}

type artifact struct {
	Handler, Key, Link, SHA256 string
	MediaType                  string `json:"media_type"`
	Index, Width, Height       int
	Bytes                      int64
}

func decode(t testing.TB, text []byte) (d document) {
	t.Helper()
	must(t, json.Unmarshal(text, &d))
	return d
}

func sha(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
