package admin_test

import (
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
)

// The question before all quarantined events are released has their number, also if a list does not show all of them.
func TestReleaseCountsTheWholeQuarantine(t *testing.T) {
	t.Parallel()
	const quarantined = 1234
	held := openStores(t)
	entries := make([]workflow.InboxEntry, quarantined)
	for n := range entries {
		entries[n] = workflowtest.Entry(n + 1)
	}
	held.AddStages(t, [][]string{{"download"}}, entries...)
	held.exec(t, "UPDATE events SET state = 'quarantined'")
	shown := page(t, serve(t, "", held.deps()), "/events?status=quarantined")
	for _, want := range []string{`data-count="1234"`, "Release 1,234<"} {
		if !strings.Contains(shown, want) {
			t.Errorf("the page has no %q, want one", want)
		}
	}
}
