package download_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore/blobstoretest"
	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler/download"
	"github.com/deepimage-receiver/receiver/internal/handler/handlertest"
)

// s3 is an S3 service that records what is stored.
type s3 struct {
	http.Handler
	url      string // of a place in its bucket
	endpoint string

	mutex  sync.Mutex
	down   int // so many requests are answered by 503
	stored map[string]string
	writes int
}

func startS3(t *testing.T) *s3 {
	t.Helper()
	service, err := blobstoretest.S3()
	if err != nil {
		t.Fatal(err)
	}
	s := &s3{Handler: service, stored: map[string]string{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.endpoint, s.url = server.URL, blobstoretest.S3URL(server.URL, "results")
	return s
}

// ServeHTTP notes every object that is stored, and how often.
func (s *s3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.isDown() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	answer := &answer{ResponseWriter: w, status: http.StatusOK}
	s.Handler.ServeHTTP(answer, r)
	if key, ok := strings.CutPrefix(r.URL.Path, "/images/results/"); ok && r.Method == http.MethodPut && answer.status == http.StatusOK {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		s.writes++
		s.stored[key] = fmt.Sprintf("%s %s, write %d", r.Header.Get("X-Amz-Meta-Sha256"), r.Header.Get("Content-Type"), s.writes)
	}
}

func (s *s3) isDown() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.down--
	return s.down >= 0
}

func (s *s3) effects(*testing.T) map[string]string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return maps.Clone(s.stored)
}

type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// get reads an object as a browser would.
func (s *s3) get(t *testing.T, key string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	answer, err := client.Get(s.endpoint + "/images/results/" + key)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("GET %s = %s, error = %v, want 200", key, answer.Status, err)
	}
	return string(content)
}

func TestStoreInS3(t *testing.T) {
	t.Parallel()
	service := startS3(t)
	fx := newFixture(t, download.Config{BucketURL: service.url})
	e, job := fx.event(t, fakevendortest.JobOptions{Images: 2, Shape: fakevendortest.ResultStrings, Query: "X-Amz-Signature=signed"})
	outcome := fx.handle(t, e)
	if len(outcome.Artifacts) != 3 {
		t.Fatalf("artifacts = %d, want an image for each and the manifest", len(outcome.Artifacts))
	}
	for n, artifact := range outcome.Artifacts {
		sum := sha256.Sum256([]byte(service.get(t, artifact.Key)))
		if got := hex.EncodeToString(sum[:]); got != artifact.SHA256 || n < 2 && got != job.Images[n].SHA256 {
			t.Errorf("SHA-256 of %s = %s, want %s", artifact.Key, got, artifact.SHA256)
		}
		if artifact.URL != "s3://images/results/"+artifact.Key {
			t.Errorf("URL of %s = %s, want that of the bucket", artifact.Key, artifact.URL)
		}
		if got := service.effects(t)[artifact.Key]; !strings.HasPrefix(got, artifact.SHA256+" "+artifact.MediaType+",") {
			t.Errorf("metadata of %s = %s, want %s %s", artifact.Key, got, artifact.SHA256, artifact.MediaType)
		}
	}
	manifest := service.get(t, "2026-01-02/"+e.Job+"/event.json")
	if !strings.Contains(manifest, `"key": "`+outcome.Artifacts[1].Key+`"`) || strings.Contains(manifest, "signed") || strings.Contains(manifest, service.endpoint) {
		t.Errorf("manifest = %s, want the key %s and no secret or endpoint", manifest, outcome.Artifacts[1].Key)
	}
	if left, err := filepath.Glob(filepath.Join(fx.folder, ".spool-remote", ".spool", "*", "[0-9]*")); err != nil || len(left) > 0 {
		t.Errorf("spools = %v, error = %v, want none", left, err)
	}
}

// E5 and F7 of the list of faults: an outage of the service is deferred, and no part of an image is stored.
func TestS3Outage(t *testing.T) {
	t.Parallel()
	service := startS3(t)
	fx := newFixture(t, download.Config{BucketURL: service.url})
	e, _ := fx.event(t, fakevendortest.JobOptions{})
	service.mutex.Lock()
	service.down = 1000
	service.mutex.Unlock()
	_, err := fx.handler.Handle(t.Context(), e)
	handlertest.WantError(t, err, event.ActionDefer, event.ReasonStorage)
	service.mutex.Lock()
	service.down = 0
	service.mutex.Unlock()
	if stored := service.effects(t); len(stored) > 0 {
		t.Errorf("stored = %v, want nothing", stored)
	}
	fx.handle(t, e)
}

// C11 of the list of faults: a bucket that was away at the start, and lets objects overwrite each other, gets no image.
func TestBucketIsCheckedBeforeTheFirstImage(t *testing.T) {
	t.Parallel()
	service := startS3(t)
	protected := service.Handler
	service.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("If-None-Match")
		protected.ServeHTTP(w, r)
	})
	service.down = 1000
	fx := newFixture(t, download.Config{BucketURL: service.url})
	e, _ := fx.event(t, fakevendortest.JobOptions{})
	for range 2 {
		_, err := fx.handler.Handle(t.Context(), e)
		handlertest.WantError(t, err, event.ActionDefer, event.ReasonStorage)
		service.mutex.Lock()
		service.down = 0
		service.mutex.Unlock()
	}
	for key := range service.effects(t) {
		if key != ".spool-check" {
			t.Errorf("stored %s, want nothing but the object of the check", key)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	service := startS3(t)
	fx := newFixture(t, download.Config{BucketURL: service.url})
	if err := fx.handler.Check(t.Context()); err != nil {
		t.Error(err)
	}
	fx = newFixture(t, download.Config{BucketURL: strings.Replace(service.url, "//images", "//nowhere", 1)})
	if err := fx.handler.Check(t.Context()); err == nil {
		t.Error("error of Check without a bucket = nil, want one")
	}
}

func TestValidateBucketURL(t *testing.T) {
	t.Parallel()
	for address, valid := range map[string]bool{
		"": true, "s3://images/results?region=eu-central-1": true, "file:///var/lib/images": true,
		"s3://key:hunter2@images": false, "s3://images?regoin=hunter2": false, "https://hunter2.example.com": false,
	} {
		err := download.Config{BucketURL: address}.Validate()
		conflict, ok := errors.AsType[*configtypes.Conflict](err)
		if valid != (err == nil) || !valid && (!ok || conflict.Name != "BUCKET_URL" || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: error = %v, want valid %t, or a conflict of BUCKET_URL without hunter2", address, err, valid)
		}
	}
}
