package download_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	fakevendor "github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
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
	with := func(options fakevendor.JobOptions) event.Event {
		options.Width, options.Height = 40, 30
		options.Query = "X-Amz-Signature=" + environment.Secret
		job, err := fx.NewJob(options)
		if err != nil {
			t.Fatal(err)
		}
		return fx.eventOf(t, fx.Callback(job, "https://me/webhooks/deep-image/"+environment.Secret))
	}
	failing := func(fault fakevendor.Fault) event.Event {
		return with(fakevendor.JobOptions{Faults: []fakevendor.Fault{fault}})
	}
	reached := make(chan struct{})
	hanging := with(fakevendor.JobOptions{
		Faults: []fakevendor.Fault{{Kind: fakevendor.Stall, Percent: 50, Struck: sync.OnceFunc(func() { close(reached) })}},
	})
	return handlertest.Subject{
		Handler: fx.handler,
		Good: []event.Event{
			with(fakevendor.JobOptions{}),
			with(fakevendor.JobOptions{Images: 3, Shape: fakevendor.ResultMap}),
			with(fakevendor.JobOptions{Format: fakevendor.WebP}),
		},
		Failing: map[string]event.Event{
			"server error": failing(fakevendor.Fault{Kind: fakevendor.Status, Status: 500}),
			"page":         failing(fakevendor.Fault{Kind: fakevendor.Page}),
			"short":        failing(fakevendor.Fault{Kind: fakevendor.Short, Percent: 50}),
			"circle":       failing(fakevendor.Fault{Kind: fakevendor.Redirect}),
		},
		Permanent: map[string]event.Event{
			"expired":   failing(fakevendor.Fault{Kind: fakevendor.Status, Status: 403}),
			"document":  failing(fakevendor.Fault{Kind: fakevendor.WrongType}),
			"no result": with(fakevendor.JobOptions{Shape: fakevendor.ResultMissing}),
			"no such host": with(fakevendor.JobOptions{
				Shape:   fakevendor.ResultMissing,
				Results: json.RawMessage(`"https://localhost/x.png?token=` + environment.Secret + `"`),
			}),
		},
		Hanging: hanging,
		Reached: reached,
		Effects: effects,
	}
}

// effects tells the files, and when each was written.
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
