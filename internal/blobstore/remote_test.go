package blobstore_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/blobstore/blobstoretest"
)

// everywhere runs a test for every object store. It passes the URL of an empty place in it.
func everywhere(t *testing.T, test func(t *testing.T, address string)) {
	t.Helper()
	for name, address := range map[string]func(*testing.T) string{
		"S3 in this process": func(t *testing.T) string { t.Helper(); return s3Here(t) },
		"S3":                 func(t *testing.T) string { t.Helper(); return blobstoretest.Outside(t, s3Variable) },
		"GCS":                func(t *testing.T) string { t.Helper(); return blobstoretest.Outside(t, gcsVariable) },
		"Azure": func(t *testing.T) string {
			t.Helper()
			makeContainer(t)
			return blobstoretest.Outside(t, azureVariable)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, address(t))
		})
	}
}

// s3Here starts an S3 service in this process, for tests that do not count memory.
func s3Here(t *testing.T) (address string) {
	t.Helper()
	handler, err := blobstoretest.S3()
	if err != nil {
		t.Fatal(err)
	}
	return blobstoretest.S3URL(serve(t, handler), "")
}

func serve(t *testing.T, handler http.Handler) (endpoint string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// behind puts a handler before the service at address. Requests that it passes to next reach the service.
func behind(t *testing.T, address string, handle func(w http.ResponseWriter, r *http.Request, next http.Handler)) string {
	t.Helper()
	host := endpointOf(t, address).Host
	proxy := &httputil.ReverseProxy{
		Transport:    &http.Transport{DisableKeepAlives: true},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", host
			r.Out.Host = r.In.Host // as it was asked for: it is signed
		},
	}
	return elsewhere(t, address, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handle(w, r, proxy) })))
}

func endpointOf(t *testing.T, address string) *url.URL {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := url.Parse(parsed.Query().Get("endpoint"))
	if err != nil {
		t.Fatal(err)
	}
	return endpoint
}

// elsewhere is the same bucket at another server.
func elsewhere(t *testing.T, address, server string) string {
	t.Helper()
	return strings.Replace(address, url.QueryEscape("http://"+endpointOf(t, address).Host), url.QueryEscape(server), 1)
}

// isUpload says that a request carries content.
func isUpload(r *http.Request) bool {
	return r.Method == http.MethodPut || r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/upload/")
}

// holds checks what is under a key; "" stands for nothing.
func holds(t *testing.T, bucket blobstore.Bucket, key, want string) {
	t.Helper()
	object, err := bucket.Open(t.Context(), key)
	if want == "" && errors.Is(err, blobstore.ErrNotFound) {
		return
	}
	if err != nil {
		t.Fatalf("open %q: %v", key, err)
	}
	got, err := io.ReadAll(object)
	if err := errors.Join(err, object.Close()); err != nil || want == "" || string(got) != want {
		t.Errorf("%q holds %.40q, %v; want %.40q", key, got, err, want)
	}
}

const large = 1 << 20 // bytes of content that does not fit into the buffers on its way

func TestBrokenSpoolMakesNoObject(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name, says string
		spoil      func(*blobstore.Spool, int64) error
	}{
		{"cut", "spool ends", blobstore.Truncate},
		{"forgotten", "any more", blobstore.Forget},
	}
	everywhere(t, func(t *testing.T, address string) {
		t.Helper()
		for _, row := range rows {
			for _, options := range [][]blobstore.Option{nil, {blobstore.WithPartBytes(0, 5<<20)}} {
				bucket := openRemote(t, address, options...)
				spool := spoolOf(t, bucket, strings.Repeat("x", large))
				if err := row.spoil(spool, large/2); err != nil {
					t.Fatal(err)
				}
				err := bucket.Put(t.Context(), row.name, spool, blobstore.Attributes{})
				if err == nil || !strings.Contains(err.Error(), row.says) {
					t.Errorf("%s: put: %v", row.name, err)
				}
				holds(t, bucket, row.name, "")
			}
		}
	})
}

// The spool is read twice, for its hashes and for the service: what changes in between is found too.
func TestSpoolThatChangesMakesNoObject(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, address string) {
		t.Helper()
		var spool *blobstore.Spool
		var once atomic.Bool
		front := behind(t, address, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if isUpload(r) && once.CompareAndSwap(false, true) {
				_ = blobstore.Truncate(spool, large/2)
			}
			next.ServeHTTP(w, r)
		})
		bucket := openRemote(t, front, blobstore.WithoutRetries())
		spool = spoolOf(t, bucket, strings.Repeat("x", 8*large))
		if err := bucket.Put(t.Context(), "key", spool, blobstore.Attributes{}); err == nil {
			t.Error("Put: error = nil, want one")
		}
		holds(t, openRemote(t, address), "key", "")
	})
}

func TestCancelledUploadLeavesNothing(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, address string) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		front := behind(t, address, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if isUpload(r) {
				r.Body = &cancelling{ReadCloser: r.Body, left: large / 2, cancel: cancel}
			}
			next.ServeHTTP(w, r)
		})
		bucket := openRemote(t, front)
		spool := spoolOf(t, bucket, strings.Repeat("x", 8*large))
		began := time.Now()
		if err := bucket.Put(ctx, "key", spool, blobstore.Attributes{}); !errors.Is(err, context.Canceled) {
			t.Errorf("put: %v", err)
		}
		if waited := time.Since(began); waited > 10*time.Second {
			t.Errorf("duration = %s, want at most 10 s", waited)
		}
		holds(t, openRemote(t, address), "key", "")
		if err := bucket.Put(t.Context(), "key", spool, blobstore.Attributes{}); err != nil {
			t.Errorf("put again: %v", err)
		}
	})
}

// cancelling ends a context in the middle of a body, and then returns nothing more.
type cancelling struct {
	io.ReadCloser
	left   int
	cancel context.CancelFunc
}

func (c *cancelling) Read(p []byte) (int, error) {
	if c.left <= 0 && c.cancel != nil {
		c.cancel()
	}
	n, err := c.ReadCloser.Read(p)
	c.left -= n
	return n, err
}

func TestObjectsSayWhatTheyAre(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, address string) {
		t.Helper()
		var header http.Header
		front := behind(t, address, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			next.ServeHTTP(w, r)
			if r.Method == http.MethodHead || r.Method == http.MethodGet {
				header = w.Header().Clone()
			}
		})
		bucket := openRemote(t, front)
		if err := bucket.Put(t.Context(), "a.png", spoolOf(t, bucket, "pixels"), blobstore.Attributes{MediaType: "image/png"}); err != nil {
			t.Fatal(err)
		}
		holds(t, bucket, "a.png", "pixels")
		if got := header.Get("Content-Type"); got != "image/png" {
			t.Errorf("Content-Type = %q, want image/png", got)
		}
	})
}

// Another writer stored an object without a hash.
func TestObjectsOfOthersAreCompared(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, address string) {
		t.Helper()
		first := openRemote(t, behind(t, address, withoutHash))
		for key, content := range map[string]string{"same": "content", "other": "CONTENT", "longer": "content and more"} {
			if err := put(t, first, key, content); err != nil {
				t.Fatal(err)
			}
		}
		bucket := openRemote(t, behind(t, address, withoutHash))
		for key, want := range map[string]error{"same": nil, "other": blobstore.ErrConflict, "longer": blobstore.ErrConflict} {
			if err := put(t, bucket, key, "content"); !errors.Is(err, want) {
				t.Errorf("put %s: %v, want %v", key, err, want)
			}
		}
	})
}

// withoutHash keeps a service from saying an object's hash.
func withoutHash(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if r.URL.Query().Has("fields") { // of Google, which says it in JSON
		query := r.URL.Query()
		query.Set("fields", "size,generation,updated")
		r.URL.RawQuery = query.Encode()
	}
	next.ServeHTTP(headerless{w}, r)
}

type headerless struct{ http.ResponseWriter }

func (h headerless) WriteHeader(status int) {
	for name := range h.Header() {
		if strings.HasSuffix(strings.ToLower(name), "-meta-sha256") {
			h.Header().Del(name)
		}
	}
	h.ResponseWriter.WriteHeader(status)
}

func TestSpoolsOfObjectStoresAreRemoved(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	bucket, err := blobstore.Open(t.Context(), s3Here(t), blobstore.WithSpoolFolder(folder+"/new/spool"))
	if err != nil {
		t.Fatal(err)
	}
	left := spoolOf(t, bucket, "content")
	if err := put(t, bucket, "key", "content"); err != nil {
		t.Fatal(err)
	}
	if got := files(t, folder); len(got) != 1 {
		t.Errorf("files while the bucket is open = %v, want 1", got)
	}
	if err := errors.Join(bucket.Close(), left.Close()); err != nil {
		t.Error(err)
	}
	if got := files(t, folder); len(got) != 0 {
		t.Errorf("files after Close = %v, want none", got)
	}
}

func TestObjectStoresNeedASpoolFolder(t *testing.T) {
	t.Parallel()
	bucket, err := blobstore.Open(t.Context(), "s3://images")
	if err == nil || !strings.Contains(err.Error(), "folder") {
		t.Errorf("opened %v: %v", bucket, err)
	}
}

// TestNotModifiedMeansTaken is row C11: services answer 304 for a key that exists.
func TestNotModifiedMeansTaken(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, address string) {
		t.Helper()
		bucket := openRemote(t, behind(t, address, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if isUpload(r) {
				w = &notModified{ResponseWriter: w}
			}
			next.ServeHTTP(w, r)
		}))
		for name, row := range map[string]struct {
			content string
			want    error
		}{
			"C11: 304 for the same content":          {content: "content"},
			"C11: 304 for a key with other contents": {content: "other", want: blobstore.ErrConflict},
		} {
			if err := put(t, bucket, "c11/key", "content"); err != nil {
				t.Fatalf("%s: put the first: %v", name, err)
			}
			if err := put(t, bucket, "c11/key", row.content); !errors.Is(err, row.want) {
				t.Errorf("%s: error = %v, want %v", name, err, row.want)
			}
		}
		if err := bucket.Check(t.Context()); err != nil {
			t.Errorf("Check() = %v, want nil", err)
		}
	})
}

// notModified answers 304, without a body, instead of what refuses a condition.
type notModified struct {
	http.ResponseWriter
	changed bool
}

func (n *notModified) WriteHeader(status int) {
	if n.changed = status == http.StatusPreconditionFailed || status == http.StatusConflict; n.changed {
		n.Header().Del("Content-Length")
		status = http.StatusNotModified
	}
	n.ResponseWriter.WriteHeader(status)
}

func (n *notModified) Write(piece []byte) (int, error) {
	if n.changed {
		return len(piece), nil
	}
	return n.ResponseWriter.Write(piece)
}
