package app_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/app"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/deepimage-receiver/receiver/internal/testkit/storetest"
	"github.com/rs/zerolog"
)

// F13: on a full disk the start waits, and callbacks get 503 until space is free.
func TestStartOnAFullDiskWaits(t *testing.T) {
	t.Parallel()
	c := configuration(t, storetest.NewPlace(t, database.SQLite))
	c.HTTP.ListenAddr = testkit.FreeAddress(t)
	client := newClient(t)
	tries := 0
	err := app.Await(t.Context(), c, zerolog.Nop(), func(context.Context) error {
		tries++
		if tries == 1 {
			return fmt.Errorf("make a file: %w", syscall.ENOSPC)
		}
		for path, want := range map[string]int{"/livez": 200, "/readyz": 503, event.WebhookPath: 503} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.HTTP.ListenAddr+path, http.NoBody)
			if path == event.WebhookPath {
				request, err = http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+c.HTTP.ListenAddr+path+"/"+token, strings.NewReader(`{"job":"j"}`))
			}
			if err != nil {
				return err
			}
			response, err := client.Do(request)
			if err != nil {
				return err
			}
			if err := response.Body.Close(); err != nil {
				return err
			}
			if response.StatusCode != want || want == 503 && response.Header.Get("Retry-After") == "" {
				t.Errorf("%s: status %d, Retry-After %q; want %d, with Retry-After for 503", path, response.StatusCode, response.Header.Get("Retry-After"), want)
			}
		}
		return nil
	})
	if err != nil || tries != 2 {
		t.Errorf("Await() = %v after %d tries, want no error after 2", err, tries)
	}
	if _, err := client.Get("http://" + c.HTTP.ListenAddr + "/livez"); err == nil {
		t.Error("the listener is still there after Await, want it closed")
	}
}

// F13: only a full disk is waited for.
func TestAwaitReturnsOtherErrors(t *testing.T) {
	t.Parallel()
	c := configuration(t, storetest.NewPlace(t, database.SQLite))
	for _, want := range []error{app.ErrInUse, syscall.EIO, syscall.EACCES} {
		if err := app.Await(t.Context(), c, zerolog.Nop(), func(context.Context) error { return want }); !errors.Is(err, want) {
			t.Errorf("Await() = %v, want %v", err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := app.Await(ctx, c, zerolog.Nop(), func(context.Context) error {
		cancel()
		return syscall.ENOSPC
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Await() = %v, want %v", err, context.Canceled)
	}
}
