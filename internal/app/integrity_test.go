package app_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/testkit"
)

// A receiver whose file turns out to be damaged while it runs stops, and its error is why.
func TestDamageStopsTheReceiver(t *testing.T) {
	t.Parallel()
	r := start(t, configuration(t, databasetest.NewPlace(t, database.SQLite)))
	found := make(chan error)
	r.StartCheck(func(context.Context) error { return <-found })
	select {
	case <-r.Done():
		t.Fatalf("stopped while the file was being checked: %v", r.Err())
	default:
	}
	found <- database.ErrDamaged
	select {
	case <-r.Done():
	case <-time.After(testkit.Timeout):
		t.Fatal("the receiver runs on with a damaged file, want it to stop")
	}
	if err := r.Err(); !errors.Is(err, database.ErrDamaged) {
		t.Errorf("Err() = %v, want %v", err, database.ErrDamaged)
	}
}

// A stop does not wait for the end of the check, and its end by the stop is no damage.
func TestStopEndsTheCheck(t *testing.T) {
	t.Parallel()
	r := start(t, configuration(t, databasetest.NewPlace(t, database.SQLite)))
	r.StartCheck(func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	r.stop()
	if err := r.Err(); err != nil {
		t.Errorf("Err() = %v, want none", err)
	}
}
