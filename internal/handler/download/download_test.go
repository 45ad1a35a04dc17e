package download_test

import (
	"bytes"
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
	fakevendor "github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
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
	*fakevendor.Vendor
	handler *download.Handler
	folder  string
	events  int
}

// newFixture makes a fx whose handler is closed at the end of the test.
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
	vendor, err := fakevendor.Start(t.Context(), fakevendor.Options{})
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

// event makes a job and the event of its callback.
func (h *fixture) event(t *testing.T, options fakevendor.JobOptions) (event.Event, fakevendor.Job) {
	t.Helper()
	job, err := h.NewJob(options)
	if err != nil {
		t.Fatal(err)
	}
	return h.eventOf(t, h.Callback(job, "https://me/webhooks/deep-image/token")), job
}

// eventOf is the event of a body, received in the order of calls.
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

// files lists what the bucket holds: the SHA-256 of each file by its key. A
// spool that was left behind is a fault.
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
			t.Errorf("%s was left behind", key)
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
	for name, options := range map[string]fakevendor.JobOptions{
		"png":    {},
		"jpeg":   {Format: fakevendor.JPEG},
		"webp":   {Format: fakevendor.WebP, Width: 64, Height: 33},
		"large":  {Bytes: 900_000},
		"three":  {Images: 3, Shape: fakevendor.ResultObjects},
		"signed": {Query: "X-Amz-Signature=signed", Data: json.RawMessage(`{"preset":"<b>&"}`)},
		"slow":   {Faults: []fakevendor.Fault{{Kind: fakevendor.Slow, Pause: time.Millisecond}}},
		"broken twice": {Faults: []fakevendor.Fault{
			{Kind: fakevendor.Break, Percent: 40, Times: 1}, {Kind: fakevendor.Break, Percent: 50, Times: 1},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fx := newFixture(t, download.Config{})
			e, job := fx.event(t, options)
			outcome := fx.handle(t, e)
			if len(outcome.Artifacts) != len(job.Images)+1 {
				t.Fatalf("%d artifacts", len(outcome.Artifacts))
			}
			files := fx.files(t)
			for n, want := range job.Images {
				checkImage(t, want, n, outcome.Artifacts[n], files)
			}
			checkManifest(t, fx, e, outcome.Artifacts)
		})
	}
}

func checkImage(t *testing.T, want fakevendor.Image, index int, got event.Artifact, files map[string]string) {
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
	if got.Index != -1 || got.Key != "2026-01-02/"+e.Job+"/event.json" || got.MediaType != "application/json" {
		t.Errorf("%+v", got)
	}
	text, err := os.ReadFile(filepath.Join(fx.folder, got.Key))
	if err != nil {
		t.Fatal(err)
	}
	var said struct {
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
	if err := json.Unmarshal(text, &said); err != nil {
		t.Fatal(err)
	}
	if said.Event != string(e.ID) || said.Job != e.Job || said.Received != "2026-01-02T03:04:05.000678Z" || said.Payload.Job != e.Job {
		t.Errorf("%+v", said)
	}
	for n, image := range said.Artifacts {
		want := artifacts[n]
		got := event.Artifact{
			Handler: want.Handler, Index: want.Index, Source: image.Source, Key: image.Key, URL: want.URL, Bytes: image.Bytes,
			SHA256: image.SHA256, MediaType: image.MediaType, Width: image.Width, Height: image.Height, Stored: want.Stored,
		}
		if got != want {
			t.Errorf("\ngot  %+v\nwant %+v", got, want)
		}
	}
	if len(said.Artifacts) != len(artifacts)-1 || strings.Contains(string(text), "signed") || strings.Contains(string(text), "token") {
		t.Errorf("%s", text)
	}
}

func TestResume(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, download.Config{})
	broken := []fakevendor.Fault{{Kind: fakevendor.Break, Percent: 50, Times: 1}}
	e, job := fx.event(t, fakevendor.JobOptions{Faults: broken})
	fx.handle(t, e)
	if got := fx.Requests(job.ResultURL); got != 2 {
		t.Errorf("%d requests for a transfer that broke once", got)
	}
	e, job = fx.event(t, fakevendor.JobOptions{Faults: broken, NoETag: true})
	_, err := fx.handler.Handle(t.Context(), e)
	if failure := handler.Classify(err); failure == nil || failure.Action == event.ActionFail || failure.Reason != event.ReasonTruncated {
		t.Errorf("without a validator: %v", err)
	}
	fx.handle(t, e)
	if got := fx.Requests(job.ResultURL); got != 2 {
		t.Errorf("%d requests for a transfer that had to begin again", got)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	status := func(code int) fakevendor.JobOptions {
		return fakevendor.JobOptions{Faults: []fakevendor.Fault{{Kind: fakevendor.Status, Status: code}}}
	}
	fault := func(f fakevendor.Fault) fakevendor.JobOptions {
		return fakevendor.JobOptions{Faults: []fakevendor.Fault{f}}
	}
	for name, row := range map[string]struct {
		options   fakevendor.JobOptions
		config    download.Config
		reason    event.Reason
		permanent bool
		after     time.Duration
		says      string
	}{
		"400": {options: status(400), reason: event.ReasonOther, permanent: true, says: "400 Bad Request"},
		"401": {options: status(401), reason: event.ReasonAuth, permanent: true, says: "401"},
		"403": {options: status(403), reason: event.ReasonExpired, permanent: true, says: "expired"},
		"404": {options: status(404), reason: event.ReasonExpired, permanent: true, says: "removed"},
		"407": {options: status(407), reason: event.ReasonAuth, permanent: true},
		"408": {options: status(408), reason: event.ReasonTimeout},
		"410": {options: status(410), reason: event.ReasonExpired, permanent: true},
		"425": {options: status(425), reason: event.ReasonRateLimited},
		"429": {options: status(429), reason: event.ReasonRateLimited},
		"500": {options: status(500), reason: event.ReasonServerError},
		"503 hour": {
			options: fault(fakevendor.Fault{Kind: fakevendor.Status, Status: 503, RetryAfter: time.Hour}),
			reason:  event.ReasonServerError, after: time.Hour,
		},
		"deleted":    {options: fakevendor.JobOptions{State: fakevendor.Deleted}, reason: event.ReasonExpired, permanent: true},
		"page":       {options: fault(fakevendor.Fault{Kind: fakevendor.Page}), reason: event.ReasonWrongType, says: "text/html"},
		"wrong type": {options: fault(fakevendor.Fault{Kind: fakevendor.WrongType}), reason: event.ReasonWrongType, permanent: true, says: "application/pdf"},
		"compressed": {options: fault(fakevendor.Fault{Kind: fakevendor.Compressed}), reason: event.ReasonWrongType},
		"empty":      {options: fault(fakevendor.Fault{Kind: fakevendor.Empty}), reason: event.ReasonTruncated},
		"partial":    {options: fault(fakevendor.Fault{Kind: fakevendor.Partial, Percent: 50}), reason: event.ReasonTruncated},
		"short":      {options: fault(fakevendor.Fault{Kind: fakevendor.Short, Percent: 50}), reason: event.ReasonTruncated, says: "cut off"},
		"short jpeg": {
			options: fakevendor.JobOptions{Format: fakevendor.JPEG, Faults: []fakevendor.Fault{{Kind: fakevendor.Short, Percent: 90}}},
			reason:  event.ReasonTruncated,
		},
		"short webp": {
			options: fakevendor.JobOptions{Format: fakevendor.WebP, Faults: []fakevendor.Fault{{Kind: fakevendor.Short, Percent: 90}}},
			reason:  event.ReasonTruncated,
		},
		"redirects in a circle": {options: fault(fakevendor.Fault{Kind: fakevendor.Redirect}), reason: event.ReasonOther},
		"redirect to a private address": {
			options: fault(fakevendor.Fault{Kind: fakevendor.Redirect, Location: "http://169.254.169.254/latest/meta-data/"}),
			reason:  event.ReasonHostNotAllowed, permanent: true, says: "RECEIVER_FETCH_ALLOWED_HOSTS",
		},
		"too many bytes":  {options: fakevendor.JobOptions{Bytes: 2 << 20}, reason: event.ReasonTooLarge, permanent: true, says: "RECEIVER_DOWNLOAD_MAX_BYTES"},
		"too many pixels": {config: download.Config{MaxPixels: 63_999}, reason: event.ReasonTooLarge, permanent: true, says: "RECEIVER_DOWNLOAD_MAX_PIXELS"},
		"storage":         {options: fakevendor.JobOptions{Shape: fakevendor.ResultStorage}, reason: event.ReasonNoResult, permanent: true, says: "storage://"},
		"no result":       {options: fakevendor.JobOptions{Shape: fakevendor.ResultMissing}, reason: event.ReasonNoResult, permanent: true, says: "no address"},
		"sample": {
			options: fakevendor.JobOptions{Shape: fakevendor.ResultMissing, Results: json.RawMessage(`"https://localhost:8073/images/x.png"`)},
			reason:  event.ReasonHostNotAllowed, permanent: true, says: "localhost",
		},
		"nobody there": {
			options: fakevendor.JobOptions{Shape: fakevendor.ResultMissing, Results: json.RawMessage(`"http://127.0.0.1:1/x.png"`)},
			reason:  event.ReasonUnreachable, says: "refused",
		},
		"no TLS there": {
			options: fakevendor.JobOptions{Shape: fakevendor.ResultMissing, Results: json.RawMessage(`"https://$HOST/x.png"`)},
			reason:  event.ReasonUnreachable, says: "TLS",
		},
		"credentials": {
			options: fakevendor.JobOptions{Shape: fakevendor.ResultMissing, Results: json.RawMessage(`"http://a:b@127.0.0.1/x.png"`)},
			reason:  event.ReasonOther, permanent: true, says: "credentials",
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
			failure := handler.Classify(err)
			if failure == nil || failure.Reason != row.reason || (failure.Action == event.ActionFail) != row.permanent || failure.Delay != row.after {
				t.Fatalf("got %+v, want %+v", failure, row)
			}
			if !strings.Contains(err.Error(), row.says) {
				t.Errorf("%q does not say %q", err, row.says)
			}
			if files := fx.files(t); len(files) > 0 || len(outcome.Artifacts) > 0 {
				t.Errorf("%v was stored, %v recorded", files, outcome.Artifacts)
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
	e, job := fx.event(t, fakevendor.JobOptions{})
	_, err = made.Handle(t.Context(), e)
	failure := handler.Classify(err)
	if failure == nil || failure.Action != event.ActionFail || failure.Reason != event.ReasonBlockedAddress || !strings.Contains(err.Error(), "RECEIVER_FETCH_ALLOWED_CIDRS") {
		t.Errorf("%v", err)
	}
	if fx.Requests(job.ResultURL) != 0 {
		t.Error("it was dialled")
	}
}

// TestOneFailureAmongImages: the others are stored, and the next attempt fetches only what is missing.
func TestOneFailureAmongImages(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, download.Config{})
	e, job := fx.event(t, fakevendor.JobOptions{
		Images: 3, Shape: fakevendor.ResultStrings,
		Faults: []fakevendor.Fault{
			{Kind: fakevendor.Status, Status: 404, Image: 0, Times: 1},
			{Kind: fakevendor.Status, Status: 503, RetryAfter: time.Minute, Image: 1, Times: 1},
		},
	})
	outcome, err := fx.handler.Handle(t.Context(), e)
	failure := handler.Classify(err)
	if failure == nil || failure.Action == event.ActionFail || failure.Delay != time.Minute || !strings.HasPrefix(err.Error(), "image 2 of 3: ") {
		t.Fatalf("%+v", failure)
	}
	if !strings.Contains(err.Error(), "1 other") || len(outcome.Artifacts) != 1 || outcome.Artifacts[0].Index != 2 {
		t.Fatalf("%v, %+v", err, outcome)
	}
	e.Artifacts = outcome.Artifacts
	outcome = fx.handle(t, e)
	if len(outcome.Artifacts) != 3 || fx.Requests(job.Images[2].URL) != 1 {
		t.Errorf("%+v, %d requests", outcome, fx.Requests(job.Images[2].URL))
	}
	checkManifest(t, fx, e, []event.Artifact{outcome.Artifacts[0], outcome.Artifacts[1], e.Artifacts[0], outcome.Artifacts[2]})
}

func TestMoreImagesThanAreFetched(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, download.Config{})
	_, job := fx.event(t, fakevendor.JobOptions{Width: 8, Height: 8})
	var addresses []string
	for n := range event.MaxResults + 5 {
		addresses = append(addresses, fmt.Sprintf("%s?%d", job.ResultURL, n))
	}
	body, err := json.Marshal(map[string]any{"job": job.ID, "results": addresses})
	if err != nil {
		t.Fatal(err)
	}
	outcome, err := fx.handler.Handle(t.Context(), fx.eventOf(t, body))
	failure := handler.Classify(err)
	if failure == nil || failure.Action != event.ActionFail || failure.Reason != event.ReasonTooLarge || len(outcome.Artifacts) != event.MaxResults {
		t.Errorf("%v, %d artifacts", err, len(outcome.Artifacts))
	}
}

// TestConflicts: different files want the same key, and none replaces another.
func TestConflicts(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, download.Config{})
	first, one := fx.event(t, fakevendor.JobOptions{FileName: "photo.png", Seed: 1})
	_, two := fx.event(t, fakevendor.JobOptions{FileName: "photo.png", Seed: 2})
	body := bytes.ReplaceAll(fx.Callback(two, "https://me/"), []byte(two.ID), []byte(one.ID))
	second := fx.eventOf(t, body) // the same job with another result

	fx.handle(t, first)
	outcome := fx.handle(t, second)
	folder := "2026-01-02/" + one.ID + "/"
	wantImage := folder + "photo-" + two.Images[0].SHA256[:12] + ".png"
	wantManifest := folder + "event-" + string(second.ID) + ".json"
	if outcome.Artifacts[0].Key != wantImage || outcome.Artifacts[1].Key != wantManifest {
		t.Errorf("%q and %q", outcome.Artifacts[0].Key, outcome.Artifacts[1].Key)
	}
	files := fx.files(t)
	if files[folder+"photo.png"] != one.Images[0].SHA256 || files[wantImage] != two.Images[0].SHA256 || len(files) != 4 {
		t.Errorf("%v", files)
	}
	again := fx.handle(t, second) // as after a crash
	if again.Artifacts[0].Key != wantImage || again.Artifacts[1].Key != wantManifest || len(fx.files(t)) != 4 {
		t.Errorf("%+v", again)
	}
}

func TestKeyTakenForGood(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, download.Config{})
	e, _ := fx.event(t, fakevendor.JobOptions{})
	if err := os.WriteFile(filepath.Join(fx.folder, "2026-01-02"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := fx.handler.Handle(t.Context(), e)
	if failure := handler.Classify(err); failure == nil || failure.Action != event.ActionFail || failure.Reason != event.ReasonStorage {
		t.Errorf("%v", err)
	}
}

func TestStorageFailureIsTriedAgain(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, download.Config{})
	e, _ := fx.event(t, fakevendor.JobOptions{})
	spools, err := filepath.Glob(filepath.Join(fx.folder, ".spool", "*", "lock"))
	if err != nil || len(spools) != 1 {
		t.Fatalf("%v, %v", spools, err)
	}
	if err := os.RemoveAll(filepath.Dir(spools[0])); err != nil {
		t.Fatal(err)
	}
	_, err = fx.handler.Handle(t.Context(), e)
	if failure := handler.Classify(err); failure == nil || failure.Action == event.ActionFail || failure.Reason != event.ReasonStorage {
		t.Errorf("%v", err)
	}
}

func TestNewRefusesABucket(t *testing.T) {
	t.Parallel()
	made, err := download.New(context.Background(), download.Config{BucketURL: "ftp://user:password@host/"}, handler.Deps{})
	if err == nil || strings.Contains(err.Error(), "password") {
		t.Errorf("%v, %v", made, err)
	}
}
