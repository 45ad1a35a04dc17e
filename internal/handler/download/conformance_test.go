package download_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler/download"
	"github.com/deepimage-receiver/receiver/internal/handler/handlertest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	handlertest.Run(t, func(t *testing.T, environment handlertest.Environment) handlertest.Subject {
		t.Helper()
		fx := openFixture(t, download.Config{}, environment.Log)
		return subject(t, fx, environment, fx.effects)
	})
}

func TestConformanceOverS3(t *testing.T) {
	t.Parallel()
	handlertest.Run(t, func(t *testing.T, environment handlertest.Environment) handlertest.Subject {
		t.Helper()
		service := startS3(t)
		fx := openFixture(t, download.Config{BucketURL: service.url}, environment.Log)
		return subject(t, fx, environment, service.effects)
	})
}

// subject is the handler with events of every sort.
func subject(
	t *testing.T, fx *fixture, environment handlertest.Environment, effects func(*testing.T) map[string]string,
) handlertest.Subject {
	t.Helper()
	with := func(options fakevendortest.JobOptions) event.Event {
		options.Width, options.Height = 40, 30
		options.Query = "X-Amz-Signature=" + environment.Secret
		job, err := fx.NewJob(options)
		if err != nil {
			t.Fatal(err)
		}
		return fx.eventOf(t, fx.Callback(job, "https://me/webhooks/deep-image/"+environment.Secret))
	}
	failing := func(fault fakevendortest.Fault) event.Event {
		return with(fakevendortest.JobOptions{Faults: []fakevendortest.Fault{fault}})
	}
	reached := make(chan struct{})
	hanging := with(fakevendortest.JobOptions{
		Faults: []fakevendortest.Fault{{Kind: fakevendortest.Stall, Percent: 50, OnHit: sync.OnceFunc(func() { close(reached) })}},
	})
	return handlertest.Subject{
		Handler: fx.handler,
		Good: []event.Event{
			with(fakevendortest.JobOptions{}),
			with(fakevendortest.JobOptions{Images: 3, Shape: fakevendortest.ResultMap}),
			with(fakevendortest.JobOptions{Format: fakevendortest.WebP}),
		},
		Failing: map[string]event.Event{
			"server error": failing(fakevendortest.Fault{Kind: fakevendortest.Status, Status: 500}),
			"page":         failing(fakevendortest.Fault{Kind: fakevendortest.Page}),
			"short":        failing(fakevendortest.Fault{Kind: fakevendortest.Short, Percent: 50}),
			"circle":       failing(fakevendortest.Fault{Kind: fakevendortest.Redirect}),
		},
		Permanent: map[string]event.Event{
			"expired":   failing(fakevendortest.Fault{Kind: fakevendortest.Status, Status: 403}),
			"document":  failing(fakevendortest.Fault{Kind: fakevendortest.WrongType}),
			"no result": with(fakevendortest.JobOptions{Shape: fakevendortest.ResultMissing}),
			"no such host": with(fakevendortest.JobOptions{
				Shape:   fakevendortest.ResultMissing,
				Results: json.RawMessage(`"https://localhost/x.png?token=` + environment.Secret + `"`),
			}),
		},
		Hanging: hanging,
		Reached: reached,
		Effects: effects,
	}
}

// effects returns the files, and when each was written.
func (h *fixture) effects(t *testing.T) map[string]string {
	t.Helper()
	effects := h.files(t)
	for key, sum := range effects {
		info, err := os.Stat(filepath.Join(h.folder, key))
		if err != nil {
			t.Fatal(err)
		}
		effects[key] = sum + " " + info.ModTime().String()
	}
	return effects
}
