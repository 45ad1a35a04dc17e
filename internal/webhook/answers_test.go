package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/memory"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/deepimage-receiver/receiver/internal/webhook"
)

type receipt struct{ ID, Job, Status string }

func TestAcceptedAndDuplicate(t *testing.T) {
	t.Parallel()
	server := start(t, defaults())
	response, body := server.post(t, sample)
	var first receipt
	if err := json.Unmarshal([]byte(body), &first); err != nil || first.Status != "accepted" {
		t.Fatalf("response = %s (%v), want status accepted", body, err)
	}
	want := `{"id":"` + first.ID + `","job":"ce0e7624-634e-11ee-a699-0242ac14000b","status":"accepted"}`
	if body != want || response.Header.Get("Content-Type") != "application/json" || response.ContentLength != int64(len(want)) {
		t.Errorf("response = %s with %v, want %s as application/json", body, response.Header, want)
	}
	_, body = server.post(t, sample)
	if want := strings.Replace(want, "accepted", "duplicate", 1); body != want {
		t.Errorf("response to the repeat = %s, want %s", body, want)
	}
	events, rejected := server.inbox.kept()
	if len(events) != 1 || len(rejected) != 0 || string(events[0].Body) != sample {
		t.Fatalf("stored %d events and %d rejections, want 1 and 0", len(events), len(rejected))
	}
	received := events[0].Received
	if received.Location() != time.UTC || received.Nanosecond()%1000 != 0 || time.Since(received) > time.Minute {
		t.Errorf("received = %v, want now in UTC, in microseconds", received)
	}
}

func TestSameEventAtTheSameTime(t *testing.T) {
	t.Parallel()
	server := start(t, defaults())
	var group sync.WaitGroup
	answers := make(chan string, 50)
	for range cap(answers) {
		group.Go(func() {
			_, body := server.post(t, sample)
			answers <- body
		})
	}
	group.Wait()
	close(answers)
	ids, accepted := map[string]bool{}, 0
	for body := range answers {
		var one receipt
		if err := json.Unmarshal([]byte(body), &one); err != nil {
			t.Fatal(err)
		}
		ids[one.ID] = true
		if one.Status == "accepted" {
			accepted++
		}
	}
	if len(ids) != 1 || accepted != 1 {
		t.Errorf("ids, accepted = %d, %d, want 1, 1", len(ids), accepted)
	}
}

func TestJobIsQuotedExactly(t *testing.T) {
	t.Parallel()
	server := start(t, defaults())
	for _, job := range []string{`"`, `\`, `</script>`, "é世界😀", "\u2028", "\u007f"} {
		quoted, err := json.Marshal(job)
		if err != nil {
			t.Fatal(err)
		}
		response, body := server.post(t, `{"job":`+string(quoted)+`}`)
		var one receipt
		if err := json.Unmarshal([]byte(body), &one); response.StatusCode == http.StatusOK && (err != nil || one.Job != job) {
			t.Errorf("response to job %q = %d %s, want the same job", job, response.StatusCode, body)
		}
	}
}

func TestBodiesThatAreNoEvents(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name, body string
		status     int
		pointers   []string
	}{
		{"empty", "", 400, nil},
		{"no JSON", "job=7", 400, nil},
		{"cut off", `{"job":"a"`, 400, nil},
		{"trailing", `{"job":"a"} x`, 400, nil},
		{"duplicate keys", `{"job":"a","job":"b"}`, 400, nil},
		{"invalid UTF-8", "{\"job\":\"\xff\"}", 400, nil},
		{"too deep in results", `{"job":"a","results":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`, 400, nil},
		{"no job", `{}`, 422, []string{"/job"}},
		{"job as a number", `{"job":1}`, 422, []string{"/job"}},
		{"job too long", `{"job":"` + strings.Repeat("a", 257) + `"}`, 422, []string{"/job"}},
		{"address as a number", `{"job":"a","result_url":1}`, 422, []string{"/result_url"}},
		{"two faults", `{"result_url":[]}`, 422, []string{"/job", "/result_url"}},
		{"a list", `[]`, 422, []string{""}},
	}
	server := start(t, defaults())
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			response, body := server.post(t, row.body)
			var details problem.Details
			if err := json.Unmarshal([]byte(body), &details); err != nil || response.StatusCode != row.status {
				t.Fatalf("response = %d %s (%v), want %d", response.StatusCode, body, err, row.status)
			}
			pointers := map[string]bool{}
			for _, fault := range details.Errors {
				pointers[fault.Pointer] = true
			}
			for _, pointer := range row.pointers {
				if !pointers[pointer] {
					t.Errorf("faults = %s, want one at %q", body, pointer)
				}
			}
			events, rejected := server.inbox.kept()
			kept := func(r event.Rejection) bool { return string(r.Body) == row.body && r.Detail == details.Detail }
			if len(events) != 0 || !slices.ContainsFunc(rejected, kept) {
				t.Errorf("stored %d events and rejections %+v, want no event and this rejection", len(events), rejected)
			}
		})
	}
}

// TestHostileBodies wants no 5xx for any body.
func TestHostileBodies(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.FromSlash("../event/testdata/hostile/*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 100 {
		t.Fatalf("got %d hostile bodies, want at least 100", len(files))
	}
	server := start(t, defaults())
	bodies := map[string]string{"100,000 lists": strings.Repeat("[", 50_000), "100,000 objects": strings.Repeat(`{"":`, 12_000)}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		bodies[filepath.Base(file)] = string(text)
	}
	for name, body := range bodies {
		response, text := server.post(t, body)
		status, must := response.StatusCode, []int{200, 400, 413, 422}
		switch name[:2] {
		case "n_":
			must = []int{400, 413}
		case "y_", "d_":
			must = []int{200, 422}
		}
		if !slices.Contains(must, status) {
			t.Errorf("%s: status = %d %s, want one of %v", name, status, text, must)
		}
	}
}

// TestFaultsOfOurs wants 503 without the cause for every failure of ours.
func TestFaultsOfOurs(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name string
		body string
		set  func(*options)
	}{
		{"store fails", sample, func(o *options) { o.inbox.fail = errors.New("disk I/O error /data/inbox.db") }},
		{"backlog is full", sample, func(o *options) { o.inbox.fail = fmt.Errorf("/data: %w", event.ErrBacklogFull) }},
		{"store blames the sender", sample, func(o *options) { o.inbox.fail = &problem.Error{Code: problem.CodeInvalid, Detail: "x"} }},
		{"store is slow", sample, func(o *options) {
			o.webhook.AcceptTimeout = 20 * time.Millisecond
			o.inbox.entered = func(ctx context.Context) { <-ctx.Done() }
		}},
		{"malformed body cannot be kept", "nonsense", func(o *options) { o.inbox.fail = errors.New("disk I/O error /data/inbox.db") }},
		{"invalid body cannot be kept", "{}", func(o *options) { o.inbox.fail = errors.New("disk I/O error /data/inbox.db") }},
		{"not ready", sample, func(o *options) { o.ready = func() error { return problem.Unavailable("The disk is full.", nil) } }},
		{"not ready, other error", sample, func(o *options) { o.ready = func() error { return errors.New("statfs /data") } }},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			o := defaults()
			row.set(&o)
			server := start(t, o)
			response, body := server.post(t, row.body)
			seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
			if response.StatusCode != http.StatusServiceUnavailable || err != nil || seconds < 1 {
				t.Errorf("response = %d %s, Retry-After %q, want 503 with Retry-After", response.StatusCode, body, response.Header.Get("Retry-After"))
			}
			if strings.Contains(body, "/data") {
				t.Errorf("response = %s, want no cause in it", body)
			}
			if events, rejected := server.inbox.kept(); len(events)+len(rejected) != 0 {
				t.Errorf("stored %v and %v, want nothing", events, rejected)
			}
		})
	}
}

// While the server drains, proxies still send callbacks.
func TestDraining(t *testing.T) {
	t.Parallel()
	server := start(t, defaults())
	server.Drain()
	response, body := server.post(t, sample)
	if response.StatusCode != http.StatusOK || !response.Close {
		t.Errorf("response = %d %s, close %t, want 200 and true", response.StatusCode, body, response.Close)
	}
}

func TestOtherMethods(t *testing.T) {
	t.Parallel()
	server := start(t, defaults())
	for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "FROBNICATE"} {
		response, body := server.send(t, method, event.WebhookPath+"/"+token, nil, nil)
		if response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != "POST" {
			t.Errorf("%s: status, Allow = %d, %q, want 405, POST: %s", method, response.StatusCode, response.Header.Get("Allow"), body)
		}
	}
}

// TestClientThatGoesAway stores the event although its client disconnects.
func TestClientThatGoesAway(t *testing.T) {
	t.Parallel()
	o := defaults()
	requests, accepted := make(chan context.Context, 1), make(chan error, 1)
	o.wrap = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests <- r.Context()
			next.ServeHTTP(w, r)
		})
	}
	entered, leave := make(chan struct{}), make(chan struct{})
	o.inbox.entered = func(ctx context.Context) {
		close(entered)
		<-leave
		accepted <- ctx.Err()
	}
	server := start(t, o)
	connection := server.dial(t)
	_, _ = fmt.Fprintf(connection, "POST %s/%s HTTP/1.1\r\nHost: receiver\r\nContent-Length: %d\r\n\r\n%s", event.WebhookPath, token, len(sample), sample)
	<-entered
	_ = connection.Close()
	request := <-requests
	<-request.Done() // the server knows that the client is gone
	close(leave)
	if err := <-accepted; err != nil {
		t.Errorf("context error in the store = %v, want none", err)
	}
	if err := server.Shutdown(t.Context()); err != nil { // waits for the handler
		t.Error(err)
	}
	if events, _ := server.inbox.kept(); len(events) != 1 {
		t.Errorf("stored %d events, want 1", len(events))
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := defaults()
	rows := []struct {
		name   string
		tokens []string
		change func(*webhook.Config, *webhook.Deps)
	}{
		{"no token", nil, nil},
		{"empty token", []string{token, ""}, nil},
		{"short token", []string{token, "fifteen-letters"}, nil},
		{"no inbox", []string{token}, func(_ *webhook.Config, d *webhook.Deps) { d.Inbox = nil }},
		{"no memory", []string{token}, func(_ *webhook.Config, d *webhook.Deps) { d.Memory = nil }},
		{"no readiness", []string{token}, func(_ *webhook.Config, d *webhook.Deps) { d.Ready = nil }},
		{"budget below the largest body", []string{token}, func(c *webhook.Config, _ *webhook.Deps) { c.InFlightBytes = c.MaxBodyBytes - 1 }},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			config, deps := good.webhook, webhook.Deps{Inbox: good.inbox, Memory: memory.New(1 << 20), Ready: good.ready}
			for _, text := range row.tokens {
				deps.Tokens = append(deps.Tokens, secret.New(text))
			}
			if row.change != nil {
				row.change(&config, &deps)
			}
			_, err := webhook.New(config, deps)
			if err == nil {
				t.Fatal("got no error, want one")
			}
			if strings.Contains(err.Error(), "letters") || strings.Contains(err.Error(), token) {
				t.Errorf("error = %v, want no token in it", err)
			}
		})
	}
}
