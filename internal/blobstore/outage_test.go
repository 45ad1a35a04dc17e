package blobstore_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
)

// maxSends is how often one request may be sent, with the first time.
const maxSends = 4

func TestUnavailableServiceIsAskedAgain(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, address string) {
		t.Helper()
		var asked atomic.Int32
		bucket := openRemote(t, behind(t, address, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if asked.Add(1) <= 2 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(w, r)
		}))
		if err := put(t, bucket, "key", "content"); err != nil {
			t.Errorf("put: %v", err)
		}
		holds(t, bucket, "key", "content")
	})
}

func TestServiceThatStaysAwayIsAnError(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, address string) {
		t.Helper()
		var asked atomic.Int32
		bucket := openRemote(t, behind(t, address, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			asked.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
		err := put(t, bucket, "key", "content")
		if err == nil || !strings.Contains(err.Error(), "503") {
			t.Errorf("put: %v", err)
		}
		for _, known := range []error{blobstore.ErrKey, blobstore.ErrConflict, blobstore.ErrFull, blobstore.ErrNotFound} {
			if errors.Is(err, known) {
				t.Errorf("error of an outage = %v, want none of the known errors", known)
			}
		}
		if got := asked.Load(); got < 2 || got > maxSends {
			t.Errorf("requests = %d, want 2 to %d", got, maxSends)
		}
	})
}

// The service stores the object, but its answer does not arrive: the next try finds it there.
func TestLostAnswerIsNoConflict(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, address string) {
		t.Helper()
		for _, options := range [][]blobstore.Option{nil, {blobstore.WithPartBytes(1, 5<<20)}} {
			var lost atomic.Bool
			key := "key" + strings.Repeat("-in-parts", len(options))
			bucket := openRemote(t, behind(t, address, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				last := isCompletion(r) || isUpload(r) && (len(options) == 0 || strings.HasPrefix(r.URL.Path, "/upload/"))
				if !last || !lost.CompareAndSwap(false, true) {
					next.ServeHTTP(w, r)
					return
				}
				next.ServeHTTP(forgetful{http.Header{}}, r)
				panic(http.ErrAbortHandler)
			}), options...)
			if err := put(t, bucket, key, "content"); err != nil {
				t.Errorf("put: %v", err)
			}
			if !lost.Load() {
				t.Error("lost answers = 0, want 1")
			}
			holds(t, bucket, key, "content")
		}
	})
}

// isCompletion says that a request puts parts or blocks together.
func isCompletion(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploadId") || r.URL.Query().Get("comp") == "blocklist"
}

// forgetful drops the response.
type forgetful struct{ header http.Header }

func (f forgetful) Header() http.Header         { return f.header }
func (f forgetful) Write(p []byte) (int, error) { return len(p), nil }
func (f forgetful) WriteHeader(int)             {}

func TestStalledServiceIsGivenUp(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, address string) {
		t.Helper()
		bucket := openRemote(t, behind(t, address, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done() // the caller has gone
		}), blobstore.WithStall(200*time.Millisecond), blobstore.WithoutRetries())
		began := time.Now()
		err := put(t, bucket, "key", "content")
		if err == nil || !strings.Contains(err.Error(), "in time") || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("put: %v", err)
		}
		if waited := time.Since(began); waited > 30*time.Second {
			t.Errorf("duration = %s, want at most 30 s", waited)
		}
	})
}

// A slow service is no stalled one: content may take longer to send than a stall may last.
func TestSlowServiceIsWaitedFor(t *testing.T) {
	t.Parallel()
	const pauses = 10
	bucket := openRemote(t, behind(t, s3Here(t), func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if isUpload(r) {
			r.Body = &slow{ReadCloser: r.Body, ctx: r.Context(), pauses: pauses}
		}
		next.ServeHTTP(w, r)
	}), blobstore.WithStall(time.Second))
	if err := put(t, bucket, "key", strings.Repeat("x", 2*pauses*large)); err != nil {
		t.Errorf("put: %v", err)
	}
}

// slow is a body that pauses for a while before each of its first megabytes, which
// are more than the buffers of a connection take.
type slow struct {
	io.ReadCloser
	ctx    context.Context
	came   int
	paused int
	pauses int
}

func (s *slow) Read(p []byte) (int, error) {
	if s.came >= s.paused*large && s.paused < s.pauses {
		s.paused++
		timer := time.NewTimer(150 * time.Millisecond)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.ctx.Done():
		}
	}
	n, err := s.ReadCloser.Read(p)
	s.came += n
	return n, err
}

func TestContextEndsTheWaiting(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, address string) {
		t.Helper()
		bucket := openRemote(t, behind(t, address, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}))
		for name, call := range map[string]func(context.Context) error{
			"put": func(ctx context.Context) error {
				return bucket.Put(ctx, "key", spoolOf(t, bucket, "content"), blobstore.Attributes{})
			},
			"open":  func(ctx context.Context) error { _, err := bucket.Open(ctx, "key"); return err },
			"check": bucket.Check,
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			began := time.Now()
			err := call(ctx)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 10*time.Second {
				t.Errorf("%s: error = %v after %s, want context.DeadlineExceeded within 10 s", name, err, time.Since(began))
			}
		}
	})
}

func TestConnectionRefused(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, address string) {
		t.Helper()
		bucket := openRemote(t, elsewhere(t, address, "http://127.0.0.1:1"), blobstore.WithoutRetries())
		err := put(t, bucket, "key", "content")
		if err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("put: %v", err)
		}
	})
}

func TestFullServiceIsKnown(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, address string) {
		t.Helper()
		bucket := openRemote(t, behind(t, address, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if isUpload(r) {
				w.WriteHeader(http.StatusInsufficientStorage)
				return
			}
			next.ServeHTTP(w, r)
		}))
		if err := put(t, bucket, "key", "content"); !errors.Is(err, blobstore.ErrFull) {
			t.Errorf("put: %v", err)
		}
	})
}
