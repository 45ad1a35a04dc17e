package workflow_test

import (
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
)

// Events of a version in which each handler waited for the one before wait for no more than they need.
func TestArrange(t *testing.T) {
	t.Parallel()
	old := [][]string{{"download"}, {"forward-a"}, {"publish"}, {"delete"}}
	for _, row := range []struct {
		name    string
		done    []string // steps that are done before
		handler string
		needs   []string
		want    string // states of the event and its steps
		events  int
	}{
		{name: "E3 publish waits for a bad target", done: []string{"download"}, handler: "publish", needs: []string{"download"}, want: "pending done pending pending waiting", events: 1},
		{name: "E3 the needed handler is not done", handler: "publish", needs: []string{"download"}, want: "pending pending waiting waiting waiting", events: 1},
		{name: "nothing to change", done: []string{"download"}, handler: "forward-a", needs: []string{"download"}, want: "pending done pending waiting waiting"},
		{name: "the event has no step of the needed handler", done: []string{"download"}, handler: "publish", needs: []string{"archive"}, want: "pending done pending waiting waiting"},
		{name: "no needs", done: []string{"download"}, handler: "publish", want: "pending done pending waiting waiting"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
				s := workflowtest.Open(t, place)
				s.AddStages(t, old, workflowtest.Entry(1))
				for _, name := range row.done {
					s.Finish(t, s.Begin(t, 1, name), workflow.Result{State: event.Done})
				}
				events, err := s.Workflow.Arrange(t.Context(), row.handler, row.needs)
				if err != nil || events != row.events {
					t.Errorf("Arrange = %d, error %v, want %d", events, err, row.events)
				}
				checkStates(t, s, 1, row.want)
				if row.events == 1 && len(row.done) > 0 {
					checkJobs(t, s, row.handler, 1)
				}
			})
		})
	}
}
