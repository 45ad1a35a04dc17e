package httpserver_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deepimage-receiver/receiver/internal/httpserver"
	"github.com/rs/zerolog"
)

func handler(t *testing.T, lines logLines, checks ...httpserver.Check) http.Handler {
	t.Helper()
	server, err := httpserver.New(config(), httpserver.Deps{
		Log: zerolog.New(lines).Level(zerolog.InfoLevel), Webhook: http.HandlerFunc(accept), Checks: checks,
	})
	if err != nil {
		t.Fatal(err)
	}
	return server.Router()
}

func ready(h http.Handler) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	return answer
}

func pass(context.Context) error { return nil }

func TestReadyNamesEveryCheck(t *testing.T) {
	t.Parallel()
	h := handler(t, make(logLines, 16), httpserver.Check{Name: "store", Run: pass}, httpserver.Check{Name: "disk", Run: pass})
	answer := ready(h)
	want := `{"status":"ready","checks":{"store":"ok","disk":"ok"}}` + "\n"
	if answer.Code != http.StatusOK || answer.Body.String() != want {
		t.Errorf("response = %d %s, want 200 %s", answer.Code, answer.Body, want)
	}
}

func TestReadyIsNotRunForEveryRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var runs, together atomic.Int64
		slow := func(ctx context.Context) error {
			if together.Add(1) > 1 {
				t.Error("got two concurrent checks, want one at a time")
			}
			defer together.Add(-1)
			runs.Add(1)
			select {
			case <-time.After(100 * time.Millisecond):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		h := handler(t, make(logLines, 16), httpserver.Check{Name: "store", Run: slow})
		crowd := func() {
			var group sync.WaitGroup
			for range 500 {
				group.Go(func() {
					if answer := ready(h); answer.Code != http.StatusOK {
						t.Errorf("response = %d %s, want 200", answer.Code, answer.Body)
					}
				})
			}
			group.Wait()
		}
		crowd()
		crowd()
		if runs.Load() != 1 {
			t.Errorf("1000 requests within a second ran the check %d times, want 1", runs.Load())
		}
		<-time.After(time.Second)
		crowd()
		if runs.Load() != 2 {
			t.Errorf("after a second the check had run %d times, want 2", runs.Load())
		}
	})
}

func TestNotReadyNamesFailedChecks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var failing atomic.Bool
		failing.Store(true)
		fail := func(context.Context) error {
			if failing.Load() {
				return errors.New("write /data/inbox.db: no space left on device")
			}
			return nil
		}
		lines := make(logLines, 16)
		h := handler(t, lines, httpserver.Check{Name: "store", Run: fail}, httpserver.Check{Name: "disk", Run: fail}, httpserver.Check{Name: "moon", Run: pass})
		for range 3 {
			answer := ready(h)
			text := answer.Body.String()
			if answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") == "" {
				t.Errorf("status, Retry-After = %d, %q, want 503 with Retry-After", answer.Code, answer.Header().Get("Retry-After"))
			}
			if !strings.Contains(text, "store, disk") || strings.Contains(text, "moon") || strings.Contains(text, "inbox.db") {
				t.Errorf("response = %s, want the names store and disk only", text)
			}
			<-time.After(2 * time.Second)
		}
		failing.Store(false)
		if answer := ready(h); answer.Code != http.StatusOK {
			t.Errorf("response after the checks passed = %d %s, want 200", answer.Code, answer.Body)
		}
		close(lines)
		var messages []string
		for line := range lines {
			messages = append(messages, line["message"].(string))
		}
		const want = "readiness check failed, readiness check failed, readiness checks passed again" // one line for each failed check
		if got := strings.Join(messages, ", "); got != want {
			t.Errorf("log = %s, want %s", got, want)
		}
	})
}

func TestReadyHasADeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hang := func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		h := handler(t, make(logLines, 16), httpserver.Check{Name: "store", Run: hang})
		began := time.Now()
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				if answer := ready(h); answer.Code != http.StatusServiceUnavailable {
					t.Errorf("response = %d %s, want 503", answer.Code, answer.Body)
				}
			})
		}
		group.Wait()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the responses took %s, want at most 5s", took)
		}
	})
}

func TestReadyOutlivesAClientThatGoesAway(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	gone := httptest.NewRequest(http.MethodGet, "/readyz", http.NoBody).WithContext(ctx)
	for range 50 { // which client goes first is random
		h := handler(t, make(logLines, 16), httpserver.Check{Name: "store", Run: func(ctx context.Context) error { return ctx.Err() }})
		h.ServeHTTP(httptest.NewRecorder(), gone)
		if answer := ready(h); answer.Code != http.StatusOK {
			t.Fatalf("response after a client went away = %d %s, want 200", answer.Code, answer.Body)
		}
	}
}

// C9: what is optional is a warning: the receiver accepts callbacks without it.
func TestOptionalChecksWarn(t *testing.T) {
	t.Parallel()
	lines := make(logLines, 16)
	fail := func(context.Context) error { return errors.New("no inodes left") }
	h := handler(t, lines, httpserver.Check{Name: "store", Run: pass}, httpserver.Check{Name: "images", Run: fail, Optional: true})
	answer := ready(h)
	want := `{"status":"ready","checks":{"store":"ok","images":"warning"}}` + "\n"
	if answer.Code != http.StatusOK || answer.Body.String() != want {
		t.Errorf("response = %d %s, want 200 %s", answer.Code, answer.Body, want)
	}
	close(lines)
	if line := <-lines; line["message"] != "readiness check failed" || line["check"] != "images" {
		t.Errorf("log line = %v, want one about images", line)
	}
}

// The metrics say what /readyz answers. A warning does not make the receiver unready.
func TestReadinessMetrics(t *testing.T) {
	t.Parallel()
	fail := func(context.Context) error { return errors.New("no") }
	for _, row := range []struct {
		name               string
		store, images      func(context.Context) error
		drain              bool
		ready, stores, own float64 // receiver_ready, and the checks of the store and of the images
	}{
		{name: "ready", store: pass, images: pass, ready: 1, stores: 1, own: 1},
		{name: "no store", store: fail, images: pass, own: 1},
		{name: "no images", store: pass, images: fail, ready: 1, stores: 1},
		{name: "draining", store: pass, images: pass, drain: true, stores: 1, own: 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			// Two folders of images have one name.
			s := start(t, config(), http.HandlerFunc(accept), httpserver.Check{Name: "store", Run: row.store},
				httpserver.Check{Name: "images", Run: row.images, Optional: true}, httpserver.Check{Name: "images", Run: pass, Optional: true})
			if row.drain {
				s.Drain()
			}
			for _, want := range []struct {
				metric, label string
				value         float64
			}{{"receiver_ready", "", row.ready}, {"receiver_readiness_check", "store", row.stores}, {"receiver_readiness_check", "images", row.own}} {
				if got := gauge(t, s, want.metric, want.label); got != want.value {
					t.Errorf("%s %s = %g, want %g", want.metric, want.label, got, want.value)
				}
			}
		})
	}
}
