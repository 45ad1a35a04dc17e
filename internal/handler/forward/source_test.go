package forward_test

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler/handlertest"
	"github.com/rs/zerolog"
)

// A source that breaks, is too large or is not an image sends no complete call to the target.
func TestBrokenSources(t *testing.T) {
	t.Parallel()
	const size = 256 << 10
	change := func(t *testing.T, h *fixture, e event.Event, by func(path string) error) event.Event {
		t.Helper()
		must(t, by(h.path(t, h.bucket.URL(e.Artifacts[0].Key))))
		return e
	}
	rows := map[string]struct {
		options fakevendortest.JobOptions
		pixels  int64                                                                             // the limit; 0 is none
		prepare func(t *testing.T, h *fixture, e event.Event, job fakevendortest.Job) event.Event // nil leaves the image to be fetched
		reason  event.Reason
		action  event.Action // event.ActionRetry if empty
	}{
		"breaks at 50 %": {
			options: fakevendortest.JobOptions{Bytes: size, NoETag: true, Faults: []fakevendortest.Fault{{Kind: fakevendortest.Break, Percent: 50}}},
			reason:  event.ReasonTruncated,
		},
		"ends at 50 %": {
			options: fakevendortest.JobOptions{Bytes: size, Faults: []fakevendortest.Fault{{Kind: fakevendortest.Short, Percent: 50}}},
			reason:  event.ReasonTruncated,
		},
		"is too large":          {options: fakevendortest.JobOptions{Bytes: 2 << 20}, reason: event.ReasonTooLarge, action: event.ActionFail},
		"has too many pixels":   {pixels: 320*200 - 1, reason: event.ReasonTooLarge, action: event.ActionFail},
		"is gone":               {options: fakevendortest.JobOptions{Faults: []fakevendortest.Fault{{Kind: fakevendortest.Status, Status: 404}}}, reason: event.ReasonExpired, action: event.ActionFail},
		"is a page for a while": {options: fakevendortest.JobOptions{Faults: []fakevendortest.Fault{{Kind: fakevendortest.Page}}}, reason: event.ReasonWrongType},
		"is something else":     {options: fakevendortest.JobOptions{Faults: []fakevendortest.Fault{{Kind: fakevendortest.WrongType}}}, reason: event.ReasonWrongType, action: event.ActionFail},
		"is stored and was cut": {options: fakevendortest.JobOptions{Bytes: size}, reason: event.ReasonStorage, prepare: func(t *testing.T, h *fixture, e event.Event, job fakevendortest.Job) event.Event {
			t.Helper()
			return change(t, h, h.store(t, e, job), func(path string) error { return os.Truncate(path, size/2) })
		}},
		"is stored and was changed": {options: fakevendortest.JobOptions{Bytes: size}, reason: event.ReasonStorage, action: event.ActionFail, prepare: func(t *testing.T, h *fixture, e event.Event, job fakevendortest.Job) event.Event {
			t.Helper()
			return change(t, h, h.store(t, e, job), func(path string) error {
				file, err := os.OpenFile(path, os.O_WRONLY, 0)
				if err != nil {
					return err
				}
				_, err = file.WriteAt([]byte("another"), size/2)
				return errors.Join(err, file.Close())
			})
		}},
	}
	for name, row := range rows {
		for _, mode := range []string{"image", "raw"} {
			t.Run(name+" "+mode, func(t *testing.T) {
				t.Parallel()
				fx, target := newFixture(t, zerolog.Nop()), newTarget(t, nil)
				config := to(target.URL)
				config.Mode = mode
				if row.pixels > 0 {
					config.MaxPixels = row.pixels
				}
				h := fx.open(t, config)
				e, job := fx.event(t, row.options)
				if row.prepare != nil {
					e = row.prepare(t, fx, e, job)
				}
				_, err := h.Handle(t.Context(), e)
				handlertest.WantError(t, err, cmp.Or(row.action, event.ActionRetry), row.reason)
				if calls := target.got(); len(calls) != 0 {
					t.Errorf("complete calls = %d, want none", len(calls))
				}
				noSpools(t, fx)
			})
		}
	}
}

// path is the file or folder that a file:// URL names.
func (h *fixture) path(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	return u.Path
}

// noSpools fails the test if spools are left.
func noSpools(t *testing.T, h *fixture) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(h.path(t, h.deps.DefaultBucketURL), ".spool", "*", "[0-9]*"))
	if err != nil || len(left) > 0 {
		t.Errorf("spools = %v, error = %v, want none", left, err)
	}
}

// brokenBucket fails in the middle of every object.
type brokenBucket struct {
	*fixture
	after int64
}

// Open returns an object that breaks.
func (b *brokenBucket) Open(ctx context.Context, a event.Artifact) (*blobstore.Object, error) {
	object, err := b.fixture.Open(ctx, a)
	if err == nil {
		object.ReadCloser = &brokenReader{object.ReadCloser, b.after}
	}
	return object, err
}

var errBucket = errors.New("the bucket broke off")

// A bucket that breaks off while the image is being sent breaks the call off.
func TestBucketBreaksWhileItIsSent(t *testing.T) {
	t.Parallel()
	const size = 256 << 10
	for _, mode := range []string{"image", "raw"} {
		for _, left := range []int64{size, size / 2, 1} {
			fx, target := newFixture(t, zerolog.Nop()), newTarget(t, nil)
			config := to(target.URL)
			config.Mode = mode
			e, job := fx.event(t, fakevendortest.JobOptions{Bytes: size})
			e = fx.store(t, e, job)
			after := max(0, job.Images[0].Bytes-left)
			fx.deps.Artifacts = &brokenBucket{fx, after}
			_, err := fx.open(t, config).Handle(t.Context(), e)
			// E5 of the list of faults
			handlertest.WantError(t, err, event.ActionDefer, event.ReasonStorage)
			if !errors.Is(err, errBucket) {
				t.Errorf("%s after %d: error = %v, want %v", mode, after, err, errBucket)
			}
			if calls := target.got(); len(calls) != 0 {
				t.Errorf("%s after %d: complete calls = %d, want none", mode, after, len(calls))
			}
		}
	}
}

// All of that holds for HTTP/2 too.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	const size = 256 << 10
	fx, target := newFixture(t, zerolog.Nop()), &target{}
	target.Server = httptest.NewUnstartedServer(target)
	target.EnableHTTP2 = true
	target.Config.ErrorLog = log.New(io.Discard, "", 0) // it reports the refused certificate
	target.StartTLS()
	t.Cleanup(target.Close)
	roots := x509.NewCertPool()
	roots.AddCert(target.Certificate())
	config := to(target.URL + "/hook")
	config.Mode = "image"
	h := fx.open(t, config)
	e, job := fx.event(t, fakevendortest.JobOptions{Bytes: size})
	if _, err := h.Handle(t.Context(), e); err == nil || strings.Contains(err.Error(), "hook") {
		t.Errorf("error with an untrusted certificate = %v, want one", err)
	}
	h = fx.open(t, config)
	h.Trust(roots)
	_, err := h.Handle(t.Context(), e)
	must(t, err)
	if c := target.the(t); len(c.body) < size || c.protocol != 2 {
		t.Errorf("request = %d bytes over HTTP/%d, want the image over HTTP/2", len(c.body), c.protocol)
	}
	stored := fx.store(t, e, job)
	fx.deps.Artifacts = &brokenBucket{fx, size / 2}
	broken := fx.open(t, config)
	broken.Trust(roots)
	if _, err := broken.Handle(t.Context(), stored); !errors.Is(err, errBucket) {
		t.Errorf("error with a broken bucket = %v, want %v", err, errBucket)
	}
	if calls := target.got(); len(calls) != 1 {
		t.Errorf("complete calls = %d, want 1", len(calls))
	}
}

// brokenReader returns this many bytes and then an error.
type brokenReader struct {
	io.ReadCloser
	left int64
}

func (r *brokenReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, errBucket
	}
	n, err := r.ReadCloser.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	if errors.Is(err, io.EOF) {
		err = errBucket
	}
	return n, err
}
