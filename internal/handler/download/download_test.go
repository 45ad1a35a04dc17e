package download_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore/blobstoretest"
	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/download"
	"github.com/deepimage-receiver/receiver/internal/handler/handlertest"
	"github.com/rs/zerolog"
)

func TestMain(m *testing.M) {
	if err := blobstoretest.SetS3Credentials(); err != nil {
		panic(err)
	}
	handlertest.Main(m)
}

// fixture is a handler with a bucket and the vendor it downloads from.
type fixture struct {
	*fakevendortest.Vendor
	handler *download.Handler
	folder  string
	events  int
}

// newFixture returns a fixture whose handler is closed at the end of the test.
func newFixture(t *testing.T, config download.Config) *fixture {
	t.Helper()
	made := openFixture(t, config, zerolog.Nop())
	t.Cleanup(func() {
		if err := made.handler.Close(); err != nil {
			t.Error(err)
		}
	})
	return made
}

func openFixture(t *testing.T, config download.Config, log zerolog.Logger) *fixture {
	t.Helper()
	vendor, err := fakevendortest.Start(t.Context(), fakevendortest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := vendor.Close(); err != nil {
			t.Error(err)
		}
	})
	folder := t.TempDir()
	return &fixture{Vendor: vendor, handler: newHandler(t, config, folder, log), folder: folder}
}

func newHandler(t testing.TB, config download.Config, folder string, log zerolog.Logger) *download.Handler {
	t.Helper()
	var loopback configtypes.Prefixes
	if err := loopback.Decode("127.0.0.0/8"); err != nil {
		t.Fatal(err)
	}
	client, err := fetch.New(fetch.Config{AllowedHosts: configtypes.List{"127.0.0.1"}, AllowedCIDRs: loopback, AllowHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	config.MaxBytes = max(config.MaxBytes, 1<<20)
	if config.MaxPixels == 0 {
		config.MaxPixels = 1_000_000
	}
	deps := handler.Deps{
		Fetch: client, Log: log, DefaultBucketURL: "file://" + folder, SpoolFolder: filepath.Join(folder, ".spool-remote"), Redact: event.Redact,
	}
	made, err := download.New(t.Context(), config, deps)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// event returns a new job and the event of its callback.
func (h *fixture) event(t *testing.T, options fakevendortest.JobOptions) (event.Event, fakevendortest.Job) {
	t.Helper()
	job, err := h.NewJob(options)
	if err != nil {
		t.Fatal(err)
	}
	return h.eventOf(t, h.Callback(job, "https://me/webhooks/deep-image/token")), job
}

// eventOf returns the event of a body.
func (h *fixture) eventOf(t *testing.T, body []byte) event.Event {
	t.Helper()
	h.events++
	return newEvent(t, body, h.events)
}

func newEvent(t testing.TB, body []byte, n int) event.Event {
	t.Helper()
	e, err := event.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	e.ID = event.ID(fmt.Sprintf("0198c0de-7000-7000-8000-%012d", n))
	e.Received = time.Date(2026, 1, 2, 3, 4, 5, 678_000, time.UTC)
	return e
}

// files returns the SHA-256 of each file in the bucket by its key. The test fails if a spool is left.
func (h *fixture) files(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(h.folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == "lock" {
			return err
		}
		content, err := os.ReadFile(path)
		sum := sha256.Sum256(content)
		found[strings.TrimPrefix(path, h.folder+"/")] = hex.EncodeToString(sum[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for key := range found {
		if strings.HasPrefix(key, ".spool") {
			t.Errorf("spool %s is left, want none", key)
		}
	}
	return found
}

func (h *fixture) handle(t *testing.T, e event.Event) handler.Outcome {
	t.Helper()
	outcome, err := h.handler.Handle(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return outcome
}

func TestImagesAndManifest(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]fakevendortest.JobOptions{
		"png":    {},
		"jpeg":   {Format: fakevendortest.JPEG},
		"webp":   {Format: fakevendortest.WebP, Width: 64, Height: 33},
		"large":  {Bytes: 900_000},
		"three":  {Images: 3, Shape: fakevendortest.ResultObjects},
		"signed": {Query: "X-Amz-Signature=signed", Data: json.RawMessage(`{"preset":"<b>&"}`)},
		"slow":   {Faults: []fakevendortest.Fault{{Kind: fakevendortest.Slow, Pause: time.Millisecond}}},
		"broken twice": {Faults: []fakevendortest.Fault{
			{Kind: fakevendortest.Break, Percent: 40, Times: 1}, {Kind: fakevendortest.Break, Percent: 50, Times: 1},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fx := newFixture(t, download.Config{})
			e, job := fx.event(t, options)
			outcome := fx.handle(t, e)
			if len(outcome.Artifacts) != len(job.Images)+1 {
				t.Fatalf("artifacts = %d, want %d", len(outcome.Artifacts), len(job.Images)+1)
			}
			files := fx.files(t)
			for n, want := range job.Images {
				checkImage(t, want, n, outcome.Artifacts[n], files)
			}
			checkManifest(t, fx, e, outcome.Artifacts)
		})
	}
}

func checkImage(t *testing.T, want fakevendortest.Image, index int, got event.Artifact, files map[string]string) {
	t.Helper()
	expected := event.Artifact{
		Handler: "download", Index: index, Source: event.RedactURL(want.URL), Key: got.Key, URL: got.URL,
		Bytes: want.Bytes, SHA256: want.SHA256, MediaType: want.Format.MediaType(),
		Width: want.Width, Height: want.Height, Stored: got.Stored,
	}
	if got != expected || time.Since(got.Stored) > time.Hour || got.Stored.Location() != time.UTC {
		t.Errorf("\ngot  %+v\nwant %+v", got, expected)
	}
	if files[got.Key] != want.SHA256 || !strings.HasSuffix(got.URL, got.Key) || !strings.HasPrefix(got.URL, "file:///") {
		t.Errorf("%s holds %s, want %s", got.URL, files[got.Key], want.SHA256)
	}
}

func checkManifest(t *testing.T, fx *fixture, e event.Event, artifacts []event.Artifact) {
	t.Helper()
	got := artifacts[len(artifacts)-1]
	if key := "2026-01-02/" + e.Job + "/event.json"; got.Index != -1 || got.Key != key || got.MediaType != "application/json" {
		t.Errorf("manifest = %+v, want index -1, key %s, application/json", got, key)
	}
	text, err := os.ReadFile(filepath.Join(fx.folder, got.Key))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Event, Job, Received string
		Artifacts            []struct {
			Source, Key, SHA256 string
			MediaType           string `json:"media_type"`
			Bytes               int64
			Width, Height       int
		}
		Payload struct {
			Job  string
			Data map[string]any
		}
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	if manifest.Event != string(e.ID) || manifest.Job != e.Job || manifest.Received != "2026-01-02T03:04:05.000678Z" || manifest.Payload.Job != e.Job {
		t.Errorf("manifest = %+v, want event %s of job %s", manifest, e.ID, e.Job)
	}
	for n, image := range manifest.Artifacts {
		want := artifacts[n]
		got := event.Artifact{
			Handler: want.Handler, Index: want.Index, Source: image.Source, Key: image.Key, URL: want.URL, Bytes: image.Bytes,
			SHA256: image.SHA256, MediaType: image.MediaType, Width: image.Width, Height: image.Height, Stored: want.Stored,
		}
		if got != want {
			t.Errorf("\ngot  %+v\nwant %+v", got, want)
		}
	}
	if len(manifest.Artifacts) != len(artifacts)-1 || strings.Contains(string(text), "signed") || strings.Contains(string(text), "token") {
		t.Errorf("manifest = %s, want %d artifacts and no secret", text, len(artifacts)-1)
	}
}

func TestResume(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, download.Config{})
	broken := []fakevendortest.Fault{{Kind: fakevendortest.Break, Percent: 50, Times: 1}}
	e, job := fx.event(t, fakevendortest.JobOptions{Faults: broken})
	fx.handle(t, e)
	if got := fx.Requests(job.ResultURL); got != 2 {
		t.Errorf("requests of a transfer that broke once = %d, want 2", got)
	}
	e, job = fx.event(t, fakevendortest.JobOptions{Faults: broken, NoETag: true})
	_, err := fx.handler.Handle(t.Context(), e)
	handlertest.WantError(t, err, event.ActionRetry, event.ReasonTruncated) // nothing can be resumed without an ETag
	fx.handle(t, e)
	if got := fx.Requests(job.ResultURL); got != 2 {
		t.Errorf("requests of a transfer that started again = %d, want 2", got)
	}
}

// TestCompressedImage has a server send gzip, although the request does not accept it.
func TestCompressedImage(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, download.Config{})
	e, _ := fx.event(t, fakevendortest.JobOptions{Faults: []fakevendortest.Fault{{Kind: fakevendortest.Compressed}}})
	outcome, err := fx.handler.Handle(t.Context(), e)
	if err != nil || len(outcome.Artifacts) == 0 {
		t.Errorf("Handle() = %d artifacts, error %v, want the image", len(outcome.Artifacts), err)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	status := func(code int) fakevendortest.JobOptions {
		return fakevendortest.JobOptions{Faults: []fakevendortest.Fault{{Kind: fakevendortest.Status, Status: code}}}
	}
	fault := func(f fakevendortest.Fault) fakevendortest.JobOptions {
		return fakevendortest.JobOptions{Faults: []fakevendortest.Fault{f}}
	}
	for name, row := range map[string]struct {
		options fakevendortest.JobOptions
		config  download.Config
		action  event.Action // event.ActionRetry if empty
		reason  event.Reason
		delay   time.Duration
	}{
		"400": {options: status(400), reason: event.ReasonOther, action: event.ActionFail},
		"401": {options: status(401), reason: event.ReasonAuth, action: event.ActionFail},
		"403": {options: status(403), reason: event.ReasonExpired, action: event.ActionFail},
		"404": {options: status(404), reason: event.ReasonExpired, action: event.ActionFail},
		"407": {options: status(407), reason: event.ReasonAuth, action: event.ActionFail},
		"408": {options: status(408), reason: event.ReasonTimeout},
		"410": {options: status(410), reason: event.ReasonExpired, action: event.ActionFail},
		"425": {options: status(425), reason: event.ReasonRateLimited},
		"429": {options: status(429), reason: event.ReasonRateLimited},
		"500": {options: status(500), reason: event.ReasonServerError},
		"503 hour": {
			options: fault(fakevendortest.Fault{Kind: fakevendortest.Status, Status: 503, RetryAfter: time.Hour}),
			reason:  event.ReasonServerError, delay: time.Hour,
		},
		"deleted":    {options: fakevendortest.JobOptions{State: fakevendortest.Deleted}, reason: event.ReasonExpired, action: event.ActionFail},
		"page":       {options: fault(fakevendortest.Fault{Kind: fakevendortest.Page}), reason: event.ReasonWrongType},
		"wrong type": {options: fault(fakevendortest.Fault{Kind: fakevendortest.WrongType}), reason: event.ReasonWrongType, action: event.ActionFail},
		"empty":      {options: fault(fakevendortest.Fault{Kind: fakevendortest.Empty}), reason: event.ReasonTruncated},
		"partial":    {options: fault(fakevendortest.Fault{Kind: fakevendortest.Partial, Percent: 50}), reason: event.ReasonTruncated},
		"short":      {options: fault(fakevendortest.Fault{Kind: fakevendortest.Short, Percent: 50}), reason: event.ReasonTruncated},
		"short jpeg": {
			options: fakevendortest.JobOptions{Format: fakevendortest.JPEG, Faults: []fakevendortest.Fault{{Kind: fakevendortest.Short, Percent: 90}}},
			reason:  event.ReasonTruncated,
		},
		"short webp": {
			options: fakevendortest.JobOptions{Format: fakevendortest.WebP, Faults: []fakevendortest.Fault{{Kind: fakevendortest.Short, Percent: 90}}},
			reason:  event.ReasonTruncated,
		},
		"redirects in a circle": {options: fault(fakevendortest.Fault{Kind: fakevendortest.Redirect}), reason: event.ReasonOther},
		"redirect to a private address": {
			options: fault(fakevendortest.Fault{Kind: fakevendortest.Redirect, Location: "http://169.254.169.254/latest/meta-data/"}),
			reason:  event.ReasonHostNotAllowed, action: event.ActionDefer,
		},
		"too many bytes":  {options: fakevendortest.JobOptions{Bytes: 2 << 20}, reason: event.ReasonTooLarge, action: event.ActionFail},
		"too many pixels": {config: download.Config{MaxPixels: 63_999}, reason: event.ReasonTooLarge, action: event.ActionFail},
		"storage":         {options: fakevendortest.JobOptions{Shape: fakevendortest.ResultStorage}, reason: event.ReasonNoResult, action: event.ActionFail},
		"no result":       {options: fakevendortest.JobOptions{Shape: fakevendortest.ResultMissing}, reason: event.ReasonNoResult, action: event.ActionFail},
		"sample": {
			options: fakevendortest.JobOptions{Shape: fakevendortest.ResultMissing, Results: json.RawMessage(`"https://localhost:8073/images/x.png"`)},
			reason:  event.ReasonHostNotAllowed, action: event.ActionFail,
		},
		"B9: host not allowed": {
			options: fakevendortest.JobOptions{Shape: fakevendortest.ResultMissing, Results: json.RawMessage(`"https://images.example.com/x.png"`)},
			reason:  event.ReasonHostNotAllowed, action: event.ActionDefer,
		},
		"no listener": {
			options: fakevendortest.JobOptions{Shape: fakevendortest.ResultMissing, Results: json.RawMessage(`"http://127.0.0.1:1/x.png"`)},
			reason:  event.ReasonUnreachable,
		},
		"no TLS": {
			options: fakevendortest.JobOptions{Shape: fakevendortest.ResultMissing, Results: json.RawMessage(`"https://$HOST/x.png"`)},
			reason:  event.ReasonUnreachable,
		},
		"credentials": {
			options: fakevendortest.JobOptions{Shape: fakevendortest.ResultMissing, Results: json.RawMessage(`"http://a:b@127.0.0.1/x.png"`)},
			reason:  event.ReasonOther, action: event.ActionFail,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fx := newFixture(t, row.config)
			host := strings.TrimPrefix(fx.URL(), "http://")
			row.options.Results = bytes.ReplaceAll(row.options.Results, []byte("$HOST"), []byte(host))
			if len(row.options.Results) == 0 {
				row.options.Results = nil
			}
			e, _ := fx.event(t, row.options)
			outcome, err := fx.handler.Handle(t.Context(), e)
			got := handlertest.WantError(t, err, cmp.Or(row.action, event.ActionRetry), row.reason)
			if got.Delay != row.delay {
				t.Errorf("delay = %s, want %s", got.Delay, row.delay)
			}
			if files := fx.files(t); len(files) > 0 || len(outcome.Artifacts) > 0 {
				t.Errorf("files = %v, artifacts = %v, want none", files, outcome.Artifacts)
			}
		})
	}
}

func TestBlockedAddress(t *testing.T) {
	t.Parallel()
	fx := openFixture(t, download.Config{}, zerolog.Nop())
	if err := fx.handler.Close(); err != nil {
		t.Fatal(err)
	}
	client, err := fetch.New(fetch.Config{AllowedHosts: configtypes.List{"*", "127.0.0.1"}, AllowHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	made, err := download.New(t.Context(), download.Config{MaxBytes: 1 << 20}, handler.Deps{Fetch: client, DefaultBucketURL: "file://" + fx.folder})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = made.Close() }()
	e, job := fx.event(t, fakevendortest.JobOptions{})
	_, err = made.Handle(t.Context(), e)
	handlertest.WantError(t, err, event.ActionFail, event.ReasonBlockedAddress)
	if got := fx.Requests(job.ResultURL); got != 0 {
		t.Errorf("requests = %d, want none", got)
	}
}

// The other images are stored, and the next attempt fetches only what is missing.
func TestOneFailureAmongImages(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, download.Config{})
	e, job := fx.event(t, fakevendortest.JobOptions{
		Images: 3, Shape: fakevendortest.ResultStrings,
		Faults: []fakevendortest.Fault{
			{Kind: fakevendortest.Status, Status: 404, Image: 0, Times: 1},
			{Kind: fakevendortest.Status, Status: 503, RetryAfter: time.Minute, Image: 1, Times: 1},
		},
	})
	outcome, err := fx.handler.Handle(t.Context(), e)
	if got := handlertest.WantError(t, err, event.ActionRetry, event.ReasonServerError); got.Delay != time.Minute {
		t.Errorf("delay = %s, want that of the second image, 1m", got.Delay)
	}
	if len(outcome.Artifacts) != 1 || outcome.Artifacts[0].Index != 2 {
		t.Fatalf("artifacts = %+v, want the third image alone", outcome.Artifacts)
	}
	e.Artifacts = outcome.Artifacts
	outcome = fx.handle(t, e)
	if len(outcome.Artifacts) != 3 || fx.Requests(job.Images[2].URL) != 1 {
		t.Errorf("artifacts = %+v, requests of the third image = %d, want 3 artifacts, 1 request", outcome.Artifacts, fx.Requests(job.Images[2].URL))
	}
	checkManifest(t, fx, e, []event.Artifact{outcome.Artifacts[0], outcome.Artifacts[1], e.Artifacts[0], outcome.Artifacts[2]})
}

func TestMoreImagesThanAreFetched(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, download.Config{})
	_, job := fx.event(t, fakevendortest.JobOptions{Width: 8, Height: 8})
	var addresses []string
	for n := range event.MaxResults + 5 {
		addresses = append(addresses, fmt.Sprintf("%s?%d", job.ResultURL, n))
	}
	body, err := json.Marshal(map[string]any{"job": job.ID, "results": addresses})
	if err != nil {
		t.Fatal(err)
	}
	outcome, err := fx.handler.Handle(t.Context(), fx.eventOf(t, body))
	handlertest.WantError(t, err, event.ActionFail, event.ReasonTooLarge)
	if got := len(outcome.Artifacts); got != event.MaxResults {
		t.Errorf("artifacts = %d, want %d", got, event.MaxResults)
	}
}

// Different files with the same key do not replace each other.
func TestConflicts(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, download.Config{})
	first, one := fx.event(t, fakevendortest.JobOptions{FileName: "photo.png", Seed: 1})
	_, two := fx.event(t, fakevendortest.JobOptions{FileName: "photo.png", Seed: 2})
	body := bytes.ReplaceAll(fx.Callback(two, "https://me/"), []byte(two.ID), []byte(one.ID))
	second := fx.eventOf(t, body) // the same job with another result

	fx.handle(t, first)
	outcome := fx.handle(t, second)
	folder := "2026-01-02/" + one.ID + "/"
	wantImage := folder + "photo-" + two.Images[0].SHA256[:12] + ".png"
	wantManifest := folder + "event-" + string(second.ID) + ".json"
	if outcome.Artifacts[0].Key != wantImage || outcome.Artifacts[1].Key != wantManifest {
		t.Errorf("keys = %q and %q, want %q and %q", outcome.Artifacts[0].Key, outcome.Artifacts[1].Key, wantImage, wantManifest)
	}
	files := fx.files(t)
	if files[folder+"photo.png"] != one.Images[0].SHA256 || files[wantImage] != two.Images[0].SHA256 || len(files) != 4 {
		t.Errorf("files = %v, want two images and two manifests", files)
	}
	again := fx.handle(t, second) // as after a crash
	if again.Artifacts[0].Key != wantImage || again.Artifacts[1].Key != wantManifest || len(fx.files(t)) != 4 {
		t.Errorf("artifacts of a repeat = %+v, want %q, %q and 4 files", again.Artifacts, wantImage, wantManifest)
	}
}

func TestInvalidKey(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, download.Config{})
	e, _ := fx.event(t, fakevendortest.JobOptions{})
	if err := os.WriteFile(filepath.Join(fx.folder, "2026-01-02"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := fx.handler.Handle(t.Context(), e)
	handlertest.WantError(t, err, event.ActionFail, event.ReasonStorage)
}

// E5 of the list of faults: a failure of the bucket says nothing about the event.
func TestStorageFailureIsDeferred(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, download.Config{})
	e, _ := fx.event(t, fakevendortest.JobOptions{})
	spools, err := filepath.Glob(filepath.Join(fx.folder, ".spool", "*", "lock"))
	if err != nil || len(spools) != 1 {
		t.Fatalf("spools = %v, error = %v, want 1", spools, err)
	}
	if err := os.RemoveAll(filepath.Dir(spools[0])); err != nil {
		t.Fatal(err)
	}
	_, err = fx.handler.Handle(t.Context(), e)
	handlertest.WantError(t, err, event.ActionDefer, event.ReasonStorage)
}

func TestNewRejectsBucket(t *testing.T) {
	t.Parallel()
	made, err := download.New(context.Background(), download.Config{BucketURL: "ftp://user:password@host/"}, handler.Deps{})
	if err == nil || strings.Contains(err.Error(), "password") {
		t.Errorf("New = %v, error = %v, want an error without the password", made, err)
	}
}
