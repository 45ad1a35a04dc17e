package forward_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/forward"
	"github.com/deepimage-receiver/receiver/internal/handler/handlertest"
	"github.com/rs/zerolog"
)

func TestEvent(t *testing.T) {
	t.Parallel()
	fx, target := newFixture(t, zerolog.Nop()), newTarget(t, always(200, `{"ok": true}`))
	config := to(target.URL + "/hook?a=b")
	config.Headers = list("X-One: 1", "x-two: two words", "User-Agent: mine")
	config.BearerToken.Decode("t0ken")
	e, job := fx.event(t, fakevendortest.JobOptions{})
	e = fx.store(t, e, job)
	outcome, err := fx.open(t, config).Handle(t.Context(), e)
	must(t, err)
	if want := `{"ok":true}`; !strings.HasSuffix(outcome.Detail, want) {
		t.Errorf("detail = %q, want the response %s at its end", outcome.Detail, want)
	}
	got := target.the(t)
	for name, want := range map[string]string{
		"Content-Type": "application/json", "X-One": "1", "X-Two": "two words", "User-Agent": "mine", "Authorization": "Bearer t0ken",
		"Webhook-Id": string(e.ID), "Webhook-Signature": "", "Content-Length": fmt.Sprint(len(got.body)),
	} {
		if value := got.header.Get(name); value != want {
			t.Errorf("header %s = %q, want %q", name, value, want)
		}
	}
	d := decode(t, got.body)
	if d.ID != string(e.ID) || d.Job != job.ID || !d.ReceivedAt.Equal(e.Received) || len(d.ResultURLs) != 1 || len(d.Artifacts) != 1 {
		t.Fatalf("document = %s, want that of event %s with 1 URL and 1 artifact", got.body, e.ID)
	}
	if a := d.Artifacts[0]; a.SHA256 != job.Images[0].SHA256 || !strings.HasPrefix(a.Link, "https://bucket/"+a.Key) {
		t.Errorf("artifact = %+v, want SHA-256 %s and a link", a, job.Images[0].SHA256)
	}
}

// parts returns the parts of a form.
func parts(t *testing.T, c call) (texts []string, files [][]byte) {
	t.Helper()
	kind, parameters, err := mime.ParseMediaType(c.header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		t.Fatalf("media type = %q, error = %v, want multipart/form-data", kind, err)
	}
	reader := multipart.NewReader(bytes.NewReader(c.body), parameters["boundary"])
	for {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			return texts, files
		}
		must(t, err)
		content, err := io.ReadAll(part)
		must(t, err)
		texts = append(texts, part.FormName()+" "+part.FileName()+" "+part.Header.Get("Content-Type"))
		files = append(files, content)
	}
}

func TestImage(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*fixture, event.Event, fakevendortest.Job) event.Event{
		"stored":  func(h *fixture, e event.Event, job fakevendortest.Job) event.Event { return h.store(t, e, job) },
		"fetched": func(_ *fixture, e event.Event, _ fakevendortest.Job) event.Event { return e },
		"stored in part, one file missing": func(h *fixture, e event.Event, job fakevendortest.Job) event.Event {
			e = h.store(t, e, job)
			e.Artifacts = e.Artifacts[:2]
			e.Artifacts[1].Key = "gone"
			return e
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fx, target := newFixture(t, zerolog.Nop()), newTarget(t, nil)
			config := to(target.URL)
			config.Mode = "image"
			e, job := fx.event(t, fakevendortest.JobOptions{Images: 3, Shape: fakevendortest.ResultStrings})
			_, err := fx.open(t, config).Handle(t.Context(), prepare(fx, e, job))
			must(t, err)
			got := target.the(t)
			texts, files := parts(t, got)
			want := "event  application/json, image 0.png image/png, image 1.png image/png, image 2.png image/png"
			if strings.Join(texts, ", ") != want {
				t.Fatalf("parts = %q, want %s", texts, want)
			}
			if signed := got.header.Get("Receiver-Signed"); signed != "part event" {
				t.Errorf("Receiver-Signed = %q, want part event", signed)
			}
			for index, a := range decode(t, files[0]).Artifacts {
				image := job.Images[index]
				if sum := sha(files[index+1]); a.Index != index || a.SHA256 != sum || sum != image.SHA256 || a.Bytes != image.Bytes || a.Width != image.Width {
					t.Errorf("artifact %d = %+v, want %+v", index, a, image)
				}
			}
		})
	}
}

func TestRaw(t *testing.T) {
	t.Parallel()
	fx, target := newFixture(t, zerolog.Nop()), newTarget(t, nil)
	config := to(target.URL)
	config.Mode = "raw"
	h := fx.open(t, config)
	e, job := fx.event(t, fakevendortest.JobOptions{ID: "job \"ä\" 😀", Format: fakevendortest.JPEG})
	e.Names = event.Names{Input: "Größe.jpg", Reference: "SKU-4711 😀"}
	_, err := h.Handle(t.Context(), e)
	must(t, err)
	got := target.the(t)
	d := decode(t, []byte(got.header.Get("Receiver-Event")))
	if d.Names != e.Names {
		t.Errorf("names = %+v, want %+v", d.Names, e.Names)
	}
	if d.ID != string(e.ID) || d.Job != job.ID || !d.ReceivedAt.Equal(e.Received) || d.Artifact.SHA256 != sha(got.body) || d.Artifact.Bytes != int64(len(got.body)) {
		t.Errorf("Receiver-Event = %s, want event %s and the SHA-256 of the body", got.header.Get("Receiver-Event"), e.ID)
	}
	if kind := got.header.Get("Content-Type"); kind != "image/jpeg" || d.Artifact.MediaType != kind || sha(got.body) != job.Images[0].SHA256 {
		t.Errorf("body of type %s has SHA-256 %s, want image/jpeg, %s", kind, sha(got.body), job.Images[0].SHA256)
	}
	several, _ := fx.event(t, fakevendortest.JobOptions{Images: 2, Shape: fakevendortest.ResultStrings})
	_, err = h.Handle(t.Context(), several)
	handlertest.WantError(t, err, event.ActionFail, event.ReasonOther)
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, zerolog.Nop())
	e, _ := fx.event(t, fakevendortest.JobOptions{})
	for status, want := range map[int]handler.Error{
		300: {Action: event.ActionDefer, Cause: event.CauseOutage, Reason: event.ReasonOther},
		301: {Action: event.ActionDefer, Cause: event.CauseOutage, Reason: event.ReasonOther},
		308: {Action: event.ActionDefer, Cause: event.CauseOutage, Reason: event.ReasonOther},
		400: {Action: event.ActionFail, Reason: event.ReasonOther},
		401: {Action: event.ActionDefer, Cause: event.CauseOutage, Reason: event.ReasonAuth},
		403: {Action: event.ActionDefer, Cause: event.CauseOutage, Reason: event.ReasonAuth},
		404: {Action: event.ActionDefer, Cause: event.CauseOutage, Reason: event.ReasonOther},
		405: {Action: event.ActionDefer, Cause: event.CauseOutage, Reason: event.ReasonOther},
		408: {Action: event.ActionRetry, Reason: event.ReasonTimeout},
		410: {Action: event.ActionDisable, Reason: event.ReasonOther},
		413: {Action: event.ActionFail, Reason: event.ReasonTooLarge},
		422: {Action: event.ActionFail, Reason: event.ReasonOther},
		425: {Action: event.ActionRetry, Reason: event.ReasonRateLimited},
		429: {Action: event.ActionRetry, Reason: event.ReasonRateLimited},
		500: {Action: event.ActionRetry, Reason: event.ReasonServerError},
		501: {Action: event.ActionRetry, Reason: event.ReasonServerError},
		503: {Action: event.ActionRetry, Reason: event.ReasonServerError},
		599: {Action: event.ActionRetry, Reason: event.ReasonServerError},
		200: {}, 201: {}, 202: {}, 204: {}, 299: {},
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			target := newTarget(t, always(status, ""))
			_, err := fx.open(t, to(target.URL)).Handle(t.Context(), e)
			if status < 300 {
				must(t, err)
				return
			}
			got := handlertest.WantError(t, err, want.Action, want.Reason)
			if got.Delay != 0 || got.Cause != want.Cause {
				t.Errorf("delay = %s, cause = %q, want none, %q", got.Delay, got.Cause, want.Cause)
			}
			if code := fmt.Sprint(status); !strings.Contains(got.Error(), code) {
				t.Errorf("error = %q, want the status %s in it", got, code)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, zerolog.Nop())
	e, _ := fx.event(t, fakevendortest.JobOptions{})
	rows := []struct {
		value    string
		min, max time.Duration
	}{
		{"17", 17 * time.Second, 17 * time.Second},
		{"0", 0, 0},
		{"-3", 0, 0},
		{"soon", 0, 0},
		{"99999999999999999999", 24 * time.Hour, 24 * time.Hour},
		{time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), 50 * time.Minute, time.Hour},
		{time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), 0, 0},
	}
	for _, row := range rows {
		for _, status := range []int{408, 425, 429, 500, 503} {
			t.Run(fmt.Sprint(row.value, " ", status), func(t *testing.T) {
				t.Parallel()
				target := newTarget(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Retry-After", row.value)
					w.WriteHeader(status)
				})
				_, err := fx.open(t, to(target.URL)).Handle(t.Context(), e)
				if got := handler.Classify(err); got == nil || got.Delay < row.min || got.Delay > row.max {
					t.Errorf("error = %+v, want a delay of %s to %s", got, row.min, row.max)
				}
			})
		}
	}
}

// A redirect is not followed, and only its host is shown.
func TestRedirect(t *testing.T) {
	t.Parallel()
	fx, elsewhere := newFixture(t, zerolog.Nop()), newTarget(t, nil)
	target := newTarget(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+"/path?token=t0ken", http.StatusTemporaryRedirect)
	})
	e, _ := fx.event(t, fakevendortest.JobOptions{})
	_, err := fx.open(t, to(target.URL)).Handle(t.Context(), e)
	if err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(elsewhere.URL, "http://")) || strings.Contains(err.Error(), "t0ken") {
		t.Errorf("error = %v, want one with the host of the redirect and without its token", err)
	}
	if calls := elsewhere.got(); len(calls) != 0 {
		t.Errorf("requests at the redirect = %d, want none", len(calls))
	}
}

// Responses that are too long, too slow or not text neither delay a call nor get into the history.
func TestUnusualResponses(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		respond http.HandlerFunc
		want    string
	}{
		"huge": {func(w http.ResponseWriter, _ *http.Request) {
			for range 1 << 10 {
				if _, err := io.WriteString(w, strings.Repeat("many words ", 1<<10)); err != nil {
					return
				}
			}
		}, "many words"},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "and then")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, "and then"},
		"bytes":  {always(200, "a\x00\x1b[31mb\n\nc\xff"), "a[31mb c"},
		"a page": {always(200, "<html>\n<body>fine</body>\r\n</html>"), "<html> <body>fine</body> </html>"},
		"its own secrets": {
			always(200, `{"api_key": "s3cret", "see": "https://x/?token=s3cret&a=b"}`),
			`{"api_key":"[redacted]","see":"https://x/?token=[redacted]&a=b"}`,
		},
		"ours": {
			func(w http.ResponseWriter, r *http.Request) {
				_, _ = fmt.Fprint(w, r.URL.String(), " ", r.Header.Get("Authorization"), " ", r.Header.Get("X-Key"), " ", r.URL.Query().Get("to"))
			},
			"[redacted] Bearer [redacted] [redacted] [redacted]",
		},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fx, target := newFixture(t, zerolog.Nop()), newTarget(t, row.respond)
			config := to(target.URL + "/hooks/T0000000/B0000000?to=" + "a-secret-word")
			config.BearerToken.Decode("bearer-t0ken")
			config.Headers = list("X-Key: header-t0ken")
			config.Timeout = time.Second
			e, _ := fx.event(t, fakevendortest.JobOptions{})
			outcome, err := fx.open(t, config).Handle(t.Context(), e)
			must(t, err)
			if !strings.Contains(outcome.Detail, row.want) || len(outcome.Detail) > 1100 {
				t.Errorf("detail = %q, want %q in at most 1100 bytes", outcome.Detail, row.want)
			}
		})
	}
}

// The text of any response is short, on one line, and contains no known secret.
func FuzzResponseText(f *testing.F) {
	const known = "t0p-s3cret"
	config := to("https://a.example/" + known + "?key=" + known)
	config.BearerToken.Decode(known)
	h, err := forward.New(f.Context(), config, handler.Deps{Step: config.Steps()[0].Name, Redact: event.Redact})
	must(f, err)
	f.Add([]byte(`{"a":"` + known + `","token":"x","b":"` + strings.Repeat("é", 600) + `"}`))
	f.Add([]byte("https://a.example/" + known + "?key=" + known + "&sig=\x00\xff\u202e"))
	f.Add([]byte(strings.Repeat(known, 500)))
	f.Add([]byte(`{"a":"t0p\u002ds3cret"}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		text := h.ResponseText(content)
		switch {
		case strings.Contains(text, known):
			t.Errorf("text = %q, want no secret", text)
		case len(text) > 1100 || !utf8.ValidString(text):
			t.Errorf("text of %d bytes = %q, want at most 1100 of UTF-8", len(text), text)
		case strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
			t.Errorf("text = %q, want printable characters", text)
		}
	})
}

// A target may respond before it has read everything, and close the connection.
func TestEarlyResponse(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	for _, status := range []int{204, 413} {
		fx := newFixture(t, zerolog.Nop())
		server := httptest.NewServer(always(status, ""))
		config := to(server.URL)
		config.Mode, config.MaxBytes, config.MaxPixels = "raw", 2*size, size
		e, _ := fx.event(t, fakevendortest.JobOptions{Bytes: size})
		_, err := fx.open(t, config).Handle(t.Context(), e)
		server.Close()
		if status == 204 && err != nil && handler.Classify(err).Action == event.ActionFail || status == 413 && err == nil {
			t.Errorf("status %d: error = %v, want none that fails for 204, one for 413", status, err)
		}
		t.Logf("%d: %v", status, err)
		noSpools(t, fx)
	}
}

// A target that does not respond times out before the deadline of the attempt.
func TestStall(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, zerolog.Nop())
	target := newTarget(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	config := to(target.URL)
	config.Timeout = 50 * time.Millisecond
	e, _ := fx.event(t, fakevendortest.JobOptions{})
	_, err := fx.open(t, config).Handle(t.Context(), e)
	handlertest.WantError(t, err, event.ActionRetry, event.ReasonTimeout)
}

func TestUnreachableTarget(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, zerolog.Nop())
	e, _ := fx.event(t, fakevendortest.JobOptions{})
	down := httptest.NewServer(nil)
	down.Close()
	untrusted := httptest.NewTLSServer(nil)
	t.Cleanup(untrusted.Close)
	for name, address := range map[string]string{"no listener": down.URL, "untrusted certificate": untrusted.URL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := fx.open(t, to(address)).Handle(t.Context(), e)
			handlertest.WantError(t, err, event.ActionRetry, event.ReasonUnreachable)
		})
	}
}

// The timeout is for each piece of an image.
func TestSlowTarget(t *testing.T) {
	t.Parallel()
	const size = 4 << 20
	fx := newFixture(t, zerolog.Nop())
	var pieces atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pause := time.NewTicker(20 * time.Millisecond)
		defer pause.Stop()
		for {
			n, err := io.CopyN(io.Discard, r.Body, 256<<10)
			if n > 0 {
				pieces.Add(1)
			}
			if err != nil {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			<-pause.C
		}
	}))
	defer server.Close()
	config := to(server.URL)
	config.Mode, config.MaxBytes, config.MaxPixels, config.Timeout = "raw", 2*size, size, 250*time.Millisecond
	e, _ := fx.event(t, fakevendortest.JobOptions{Bytes: size})
	_, err := fx.open(t, config).Handle(t.Context(), e)
	must(t, err)
	if pieces.Load() < 16 {
		t.Errorf("pieces = %d, want at least 16", pieces.Load())
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	const calls, perSecond = 6, 20
	fx, target := newFixture(t, zerolog.Nop()), newTarget(t, nil)
	config := to(target.URL)
	config.Rate = perSecond
	h := fx.open(t, config)
	e, _ := fx.event(t, fakevendortest.JobOptions{})
	started := time.Now()
	var group sync.WaitGroup
	for range calls {
		group.Go(func() {
			if _, err := h.Handle(t.Context(), e); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if took, least := time.Since(started), (calls-1)*time.Second/perSecond; took < least-5*time.Millisecond {
		t.Errorf("%d calls took %s, want at least %s", calls, took, least)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, _ = h.Handle(ctx, e)
	if _, err := h.Handle(ctx, e); err == nil || handler.Classify(err).Action == event.ActionFail {
		t.Errorf("error without time for the rate limit = %v, want one that does not fail", err)
	}
}
