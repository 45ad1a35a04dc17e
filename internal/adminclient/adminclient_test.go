package adminclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/adminclient"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listen serves the admin API with a handler and returns a client of it.
func listen(t *testing.T, handler http.HandlerFunc) *adminclient.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return open(t, adminclient.Options{URL: server.URL, Token: secret.New("the-token")})
}

func open(t *testing.T, options adminclient.Options) *adminclient.Client {
	t.Helper()
	client, err := adminclient.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return client
}

func TestInvalidURL(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "127.0.0.1:8081", "ftp://127.0.0.1", "http://user:password@127.0.0.1", "http://a b"} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			_, err := adminclient.New(adminclient.Options{URL: address})
			if _, ok := errors.AsType[*adminclient.InputError](err); !ok {
				t.Errorf("New() = %v, want an InputError", err)
			}
		})
	}
}

func TestURLWithPath(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, path, want string }{
		{name: "E10 base path", path: "/tools/receiver", want: "/tools/receiver/api/v1/targets"},
		{name: "E10 base path with a slash", path: "/tools/receiver/", want: "/tools/receiver/api/v1/targets"},
		{name: "E10 none", want: "/api/v1/targets"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			paths := make(chan string, 1)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				paths <- r.URL.Path
				_, _ = io.WriteString(w, `{"targets":[]}`)
			}))
			t.Cleanup(server.Close)
			if _, err := open(t, adminclient.Options{URL: server.URL + row.path}).Targets(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := <-paths; got != row.want {
				t.Errorf("path = %q, want %q", got, row.want)
			}
		})
	}
}

// E11: the sentence of a failed command has the request id, by which the server's log is searched.
func TestErrorHasTheRequestID(t *testing.T) {
	t.Parallel()
	const id = "4ZQ3YPHD6SUXWTHUJ7SR4MHAQB"
	client := listen(t, func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(problem.WithRequestInfo(r.Context(), &problem.RequestInfo{ID: id}))
		problem.Write(w, r, problem.Unavailable("The database is not available.", nil))
	})
	_, err := client.Targets(t.Context())
	failed, ok := errors.AsType[*adminclient.StatusError](err)
	if !ok || failed.Status != http.StatusServiceUnavailable || !strings.Contains(err.Error(), id) {
		t.Errorf("error = %v, want status 503 and request id %s", err, id)
	}
}

func TestErrorTypes(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name      string
		status    int
		header    http.Header
		wantInput bool
		wantRetry time.Duration
	}{
		{name: "bad request", status: http.StatusBadRequest, wantInput: true},
		{name: "not found", status: http.StatusNotFound},
		{name: "unauthorized", status: http.StatusUnauthorized},
		{name: "redirect", status: http.StatusFound, header: http.Header{"Location": {"http://127.0.0.1:1/"}}},
		{
			name: "unavailable", status: http.StatusServiceUnavailable,
			header: http.Header{"Content-Type": {problem.MediaType}, "Retry-After": {"7"}}, wantRetry: 7 * time.Second,
		},
		{
			name: "limited without Retry-After", status: http.StatusTooManyRequests,
			header: http.Header{"Content-Type": {problem.MediaType}}, wantRetry: time.Second,
		},
		{name: "proxy", status: http.StatusServiceUnavailable, header: http.Header{"Retry-After": {"7"}}},
		{name: "server error", status: http.StatusInternalServerError, header: http.Header{"Content-Type": {problem.MediaType}, "Retry-After": {"7"}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			client := listen(t, func(w http.ResponseWriter, _ *http.Request) {
				maps.Copy(w.Header(), row.header)
				w.WriteHeader(row.status)
			})
			_, err := client.Targets(t.Context())
			_, input := errors.AsType[*adminclient.InputError](err)
			failed, status := errors.AsType[*adminclient.StatusError](err)
			switch {
			case input != row.wantInput || status == row.wantInput:
				t.Errorf("error = %T, want an InputError: %t, else a StatusError", err, row.wantInput)
			case status && (failed.Status != row.status || failed.RetryAfter != row.wantRetry):
				t.Errorf("status = %d, retry after %s, want %d, %s", failed.Status, failed.RetryAfter, row.status, row.wantRetry)
			}
		})
	}
}

func TestListReadsPages(t *testing.T) {
	t.Parallel()
	var requests []string
	client := listen(t, func(w http.ResponseWriter, r *http.Request) {
		requests = append(requests, r.Header.Get("Authorization")+" "+r.URL.RequestURI())
		if r.URL.Query().Get("cursor") == "" {
			_, _ = io.WriteString(w, `{"events": [{"job": "1"}, {"job": "2"}], "cursor": "next"}`)
			return
		}
		_, _ = io.WriteString(w, `{"events": [{"job": "3"}]}`)
	})
	var got []string
	err := client.ListEvents(t.Context(), url.Values{"status": {"dead"}}, 300, func(e adminclient.EventSummary) error {
		got = append(got, e.Job)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1", "2", "3"}, got); diff != "" {
		t.Errorf("jobs differ (-want +got):\n%s", diff)
	}
	want := []string{"Bearer the-token /api/v1/events?limit=200&status=dead", "Bearer the-token /api/v1/events?cursor=next&limit=200&status=dead"}
	if diff := cmp.Diff(want, requests); diff != "" {
		t.Errorf("requests differ (-want +got):\n%s", diff)
	}
}

func TestFindEvent(t *testing.T) {
	t.Parallel()
	client := listen(t, func(w http.ResponseWriter, r *http.Request) {
		lists := map[string]string{"one": `{"id": "a"}`, "two": `{"id": "a"}, {"id": "b"}`, "none": ""}
		switch r.URL.Path {
		case "/api/v1/events/a":
			_, _ = io.WriteString(w, `{"id": "a"}`)
		case "/api/v1/events":
			_, _ = fmt.Fprintf(w, `{"events": [%s]}`, lists[r.URL.Query().Get("job")])
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	for _, row := range []struct{ name, want string }{
		{name: "a", want: "a"},
		{name: "one", want: "a"},
		{name: "two", want: "*adminclient.InputError"},
		{name: "none", want: "*adminclient.StatusError"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			e, _, err := client.FindEvent(t.Context(), row.name)
			got := string(e.ID)
			if err != nil {
				got = fmt.Sprintf("%T", err)
			}
			if got != row.want {
				t.Errorf("FindEvent(%q) = %s, want %s", row.name, got, row.want)
			}
		})
	}
}

// offline answers every request with an empty list of targets.
type offline struct{ requests, closed int }

func (o *offline) RoundTrip(r *http.Request) (*http.Response, error) {
	o.requests++
	return &http.Response{StatusCode: http.StatusOK, Request: r, Body: io.NopCloser(strings.NewReader(`{"targets": []}`))}, nil
}

func (o *offline) Close(context.Context) error {
	o.closed++
	return nil
}

func TestOfflineMode(t *testing.T) {
	t.Parallel()
	t.Run("connection refused", func(t *testing.T) {
		t.Parallel()
		store, opened := &offline{}, 0
		client, err := adminclient.New(adminclient.Options{URL: "http://127.0.0.1:1", OpenOffline: func(context.Context) (adminclient.Offline, error) {
			opened++
			return store, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := client.Targets(t.Context()); err != nil || !client.IsOffline() {
				t.Errorf("Targets() = %v, offline %t, want no error in offline mode", err, client.IsOffline())
			}
		}
		if err := client.Close(t.Context()); err != nil || opened != 1 || store.requests != 2 || store.closed != 1 {
			t.Errorf("Close() = %v, opened, requests, closed = %d, %d, %d, want 1, 2, 1", err, opened, store.requests, store.closed)
		}
	})
	t.Run("store cannot be opened", func(t *testing.T) {
		t.Parallel()
		want := errors.New("in use")
		client := open(t, adminclient.Options{URL: "http://127.0.0.1:1", OpenOffline: func(context.Context) (adminclient.Offline, error) {
			return (*offline)(nil), want
		}})
		if _, err := client.Targets(t.Context()); !errors.Is(err, want) || client.IsOffline() {
			t.Errorf("Targets() = %v, offline %t, want %v and false", err, client.IsOffline(), want)
		}
	})
	t.Run("no offline mode", func(t *testing.T) {
		t.Parallel()
		_, err := open(t, adminclient.Options{URL: "http://127.0.0.1:1"}).Targets(t.Context())
		if _, ok := errors.AsType[*adminclient.UnreachableError](err); !ok {
			t.Errorf("Targets() = %v, want an UnreachableError", err)
		}
	})
	t.Run("receiver answers", func(t *testing.T) {
		t.Parallel()
		server := httptest.NewServer(http.NotFoundHandler())
		t.Cleanup(server.Close)
		client := open(t, adminclient.Options{URL: server.URL, OpenOffline: func(context.Context) (adminclient.Offline, error) {
			t.Error("OpenOffline was called, want the error of the receiver")
			return nil, io.EOF
		}})
		if _, err := client.Targets(t.Context()); err == nil {
			t.Error("Targets() = nil, want an error")
		}
	})
}

func TestNewRequest(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, text, width, height string
		want                      string
		wantErr                   bool
	}{
		{name: "empty"},
		{name: "width", width: "2000", want: `,"width":2000`},
		{name: "percentages", width: "200%", height: "50%", want: `,"height":"50%","width":"200%"`},
		{name: "text", text: `{"n": 1.00}`, want: `,"n":1.00`},
		{name: "flag replaces member", text: `{"width": 1}`, width: "2", want: `,"width":2`},
		{name: "null", text: "null", wantErr: true},
		{name: "list", text: "[]", wantErr: true},
		{name: "url", text: `{"url": ""}`, wantErr: true},
		{name: "malformed height", height: "tall", wantErr: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, err := adminclient.NewRequest([]byte(row.text), row.width, row.height)
			if string(got) != row.want || (err != nil) != row.wantErr {
				t.Errorf("NewRequest() = %s, %v, want %s, error %t", got, err, row.want, row.wantErr)
			}
		})
	}
}

// A file that changes while it is read is not submitted, whatever the receiver answers.
func TestSubmitDetectsChangedFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.png")
	png, err := os.ReadFile(filepath.Join("testdata", "pixel.png"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, png, 0o600); err != nil {
		t.Fatal(err)
	}
	images, err := adminclient.FindImages(t.Context(), []string{path}, nil)
	if err != nil || len(images) != 1 {
		t.Fatalf("FindImages() = %v, %v, want one image", images, err)
	}
	if err := os.Truncate(path, int64(len(png)/2)); err != nil {
		t.Fatal(err)
	}
	client := listen(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusCreated)
	})
	if job, err := client.Submit(t.Context(), images[0], nil, "", 0); err == nil {
		t.Errorf("Submit() = %+v, want an error", job)
	}
}
