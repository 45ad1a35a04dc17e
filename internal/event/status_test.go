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
		t.Error(names)
	}
	for _, status := range event.Statuses() {
		if !status.Valid() {
			t.Errorf("%s is not valid", status)
		}
	}
	if event.Status("").Valid() || event.Status("Done").Valid() {
		t.Error("an unknown status is valid")
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	names := fmt.Sprint(event.Reasons())
	if names != "[timeout unreachable blocked_address host_not_allowed too_large wrong_type truncated expired no_result "+
		"not_verified auth rate_limited server_error storage other]" {
		t.Error(names)
	}
	if len(slices.Compact(slices.Sorted(slices.Values(event.Reasons())))) != len(event.Reasons()) {
		t.Error("a reason is there twice")
	}
	if !event.ReasonOther.Valid() || event.Reason("").Valid() {
		t.Error("validity is not that of the list")
	}
}
