package admin_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
)

// The question before all quarantined events are released has their number, also if a list does not show all of them.
func TestReleaseCountsTheWholeQuarantine(t *testing.T) {
	t.Parallel()
	const quarantined = 1234
	held := openStores(t)
	var entries []event.Entry
	for n := range quarantined {
		entries = append(entries, workflowtest.Entry(n+1))
	}
	for batch := range slices.Chunk(entries, 100) { // one transaction has half a minute, also under the race detector
		held.AddStages(t, [][]string{{"download"}}, batch...)
	}
	held.exec(t, "UPDATE events SET state = 'quarantined'")
	shown := page(t, serve(t, "", held.deps()), "/events?status=quarantined")
	for _, want := range []string{`data-count="1234"`, "Release 1,234<"} {
		if !strings.Contains(shown, want) {
			t.Errorf("the page has no %q, want one", want)
		}
	}
}
