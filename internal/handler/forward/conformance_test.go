package forward_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler/handlertest"
)

// planted is a target that fails as the name of the job requests, and sends back the secret.
func planted(t *testing.T, planted string, reached func()) *target {
	t.Helper()
	return newTarget(t, func(w http.ResponseWriter, r *http.Request) {
		kind := kindOf(r)
		content, _ := json.Marshal(map[string]any{"token": planted, "you": r.URL.String(), "with": r.Header})
		status := map[string]int{
			"server-error": 500, "unavailable": 503, "too-many": 429, "refused": 400, "unauthorized": 401, "redirect": 307, "gone": 410,
		}[kind]
		switch kind {
		case "cut":
			panic(http.ErrAbortHandler)
		case "hanging":
			reached()
			<-r.Context().Done()
		}
		if status == 307 {
			w.Header().Set("Location", "https://elsewhere.example/?token="+planted)
		}
		w.WriteHeader(max(status, 200))
		_, _ = w.Write(content)
	})
}

// kindOf returns the start of the name of the job: the requested failure.
func kindOf(r *http.Request) string {
	text := r.Header.Get("Receiver-Event")
	if text == "" {
		buffer := new(strings.Builder)
		_, _ = io.Copy(buffer, r.Body)
		text = buffer.String()
	}
	_, rest, _ := strings.Cut(text, `"job":"`)
	kind, _, _ := strings.Cut(rest, ".")
	return kind
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"event", "image", "raw"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			handlertest.Run(t, func(t *testing.T, environment handlertest.Environment) handlertest.Subject {
				t.Helper()
				return subject(t, mode, environment)
			})
		})
	}
}

func subject(t *testing.T, mode string, environment handlertest.Environment) handlertest.Subject {
	t.Helper()
	fx := newFixture(t, environment.Log)
	reached := make(chan struct{})
	target := planted(t, environment.Secret, sync.OnceFunc(func() { close(reached) }))
	config := to(target.URL + "/hooks/" + environment.Secret + "?key=" + environment.Secret)
	config.Mode = mode
	config.Secrets = list(whsec("a"), whsec("b"))
	config.BearerToken.Decode(environment.Secret)
	config.Headers = list("X-Api-Key: " + environment.Secret)
	number := 0
	with := func(kind string, options fakevendortest.JobOptions) event.Event {
		number++
		options.ID = kind + "." + strings.Repeat("x", number)
		options.Query = "X-Amz-Signature=" + environment.Secret
		options.Width, options.Height = 40, 30
		job, err := fx.NewJob(options)
		must(t, err)
		return fx.eventOf(t, fx.Callback(job, "https://me/webhooks/deep-image/"+environment.Secret))
	}
	made := handlertest.Subject{
		Handler: fx.handler(t, config),
		Good:    []event.Event{with("good", fakevendortest.JobOptions{}), with("good", fakevendortest.JobOptions{Format: fakevendortest.WebP})},
		Failing: map[string]event.Event{},
		Permanent: map[string]event.Event{
			"refused": with("refused", fakevendortest.JobOptions{}),
		},
		Hanging: with("hanging", fakevendortest.JobOptions{}),
		Reached: reached,
		Effects: target.effects,
	}
	for _, kind := range []string{"server-error", "unavailable", "too-many", "cut", "gone", "unauthorized", "redirect"} {
		made.Failing[kind] = with(kind, fakevendortest.JobOptions{})
	}
	if mode != "event" {
		failing := func(fault fakevendortest.Fault) event.Event {
			return with("good", fakevendortest.JobOptions{Faults: []fakevendortest.Fault{fault}})
		}
		made.Failing["source fails"] = failing(fakevendortest.Fault{Kind: fakevendortest.Status, Status: 500})
		made.Failing["source is a page"] = failing(fakevendortest.Fault{Kind: fakevendortest.Page})
		made.Failing["source is short"] = failing(fakevendortest.Fault{Kind: fakevendortest.Short, Percent: 50})
		made.Permanent["source has expired"] = failing(fakevendortest.Fault{Kind: fakevendortest.Status, Status: 404})
		made.Permanent["source is a document"] = failing(fakevendortest.Fault{Kind: fakevendortest.WrongType})
		made.Permanent["no result"] = with("good", fakevendortest.JobOptions{Shape: fakevendortest.ResultStorage})
		made.Permanent["host is not allowed"] = with("good", fakevendortest.JobOptions{
			Shape: fakevendortest.ResultMissing, Results: json.RawMessage(`"https://localhost/x.png?token=` + environment.Secret + `"`),
		})
	}
	return made
}
