package event_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
)

func TestStatuses(t *testing.T) {
	t.Parallel()
	names := fmt.Sprint(event.Statuses())
	if names != "[pending running retrying done dead quarantined waiting skipped]" {
		t.Errorf("got %s, want the documented names in their order", names)
	}
	for _, status := range event.Statuses() {
		if !status.Valid() {
			t.Errorf("%s.Valid() = false, want true", status)
		}
	}
	if event.Status("").Valid() || event.Status("Done").Valid() {
		t.Error("Valid() of unknown statuses = true, want false")
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	names := fmt.Sprint(event.Reasons())
	if names != "[timeout unreachable blocked_address host_not_allowed too_large wrong_type truncated expired no_result "+
		"not_verified auth rate_limited server_error storage other]" {
		t.Errorf("got %s, want the documented names in their order", names)
	}
	if len(slices.Compact(slices.Sorted(slices.Values(event.Reasons())))) != len(event.Reasons()) {
		t.Errorf("reasons = %v, want no duplicate", event.Reasons())
	}
	if !event.ReasonOther.Valid() || event.Reason("").Valid() {
		t.Error("Valid() differs from the list, want the same")
	}
}
