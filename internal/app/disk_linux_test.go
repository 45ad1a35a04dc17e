package app_test

import (
	"testing"

	"github.com/deepimage-receiver/receiver/internal/app"
)

// TestDiskOfUnknownSize is row C8: /proc counts no blocks, so that no callback is refused because of it.
func TestDiskOfUnknownSize(t *testing.T) {
	t.Parallel()
	usage, err := app.MeasureDisk("/proc", 1<<30)
	if err != nil || len(usage) != 0 {
		t.Errorf("MeasureDisk() = %v, %v, want no disk and no error", usage, err)
	}
}
