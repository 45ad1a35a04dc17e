package download_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/download"
	"github.com/deepimage-receiver/receiver/internal/testkit"
)

// TestSlowHosts has a handler of eight downloads and as many hosts at 5 KiB/s. Some yield, at no cost, to other events.
func TestSlowHosts(t *testing.T) {
	t.Parallel()
	const downloads, givingWay = 8, 3
	fx := newFixture(t, download.Config{Concurrency: downloads})
	ctx, cancel := context.WithCancel(t.Context())
	failures := make(chan *handler.Error, downloads)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for n := range downloads {
		host := httptest.NewServer(http.HandlerFunc(sendSlowly))
		t.Cleanup(host.Close) // after the transfers have ended
		e := newEvent(t, []byte(`{"job":"j","result_url":"`+host.URL+`/a.png"}`), n)
		running.Go(func() {
			_, err := fx.handler.Handle(ctx, e)
			failures <- handler.Classify(err)
		})
	}
	for range givingWay {
		got := testkit.Receive(t, "B10 an event that yields", failures)
		if got == nil || got.Action != event.ActionDefer || got.Cause != event.CauseStep || got.Reason != event.ReasonTimeout {
			t.Errorf("B10 failure of a slow event = %+v, want it deferred for itself as %s", got, event.ReasonTimeout)
		}
	}
	good, _ := fx.event(t, fakevendortest.JobOptions{Width: 40, Height: 30})
	if outcome := fx.handle(t, good); len(outcome.Artifacts) != 2 {
		t.Errorf("B10 artifacts of a good host = %+v, want an image and a manifest", outcome.Artifacts)
	}
	if n := len(failures); n != 0 {
		t.Errorf("B10 further slow events that ended = %d, want 0", n)
	}
}

// sendSlowly sends a file of one MiB at 5 KiB per second.
func sendSlowly(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "1048576")
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for r.Context().Err() == nil {
		_, _ = w.Write(make([]byte, 512))
		_ = http.NewResponseController(w).Flush()
		<-ticker.C
	}
}
