package history_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/queue"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/deepimage-receiver/receiver/internal/workflow/workflowtest"
)

// manyAlike is a number of jobs with the same prefix that is larger than maxLeading, and than the items of a page.
const manyAlike = 2400

// Many events with the same prefix of their job or id are all found, the newest first, counted and replayed.
func TestFindManyWithSamePrefix(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name   string
		filter history.Filter
		every  int // every how many events one is found
	}{
		{name: "by job", filter: history.Filter{Prefix: "alike-"}, every: 2},
		{name: "by job, dead", filter: history.Filter{Prefix: "alike-", State: event.Dead}, every: 6},
		{name: "by job, of a handler, dead", filter: history.Filter{Prefix: "alike-", Handler: "download", State: event.Dead}, every: 6},
		{name: "by job, of a handler", filter: history.Filter{Prefix: "alike-", Handler: "download"}, every: 2},
		{name: "by job, of a handler that few have", filter: history.Filter{Prefix: "alike-", Handler: "publish"}, every: 60},
		{name: "by job, for a reason", filter: history.Filter{Prefix: "alike-", Reason: event.ReasonExpired}, every: 6},
		{name: "by a word", filter: history.Filter{Prefix: "sho"}, every: 2},
		{name: "by two words", filter: history.Filter{Prefix: "shoe SKU"}, every: 2},
		{name: "by two words, one rare", filter: history.Filter{Prefix: "SKU-rare"}, every: 600},
		{name: "by several words with a prefix", filter: history.Filter{Prefix: "sk"}, every: 1},
		{name: "by many words with a prefix", filter: history.Filter{Prefix: "n"}, every: 1},
		{name: "by many words with a prefix and one more", filter: history.Filter{Prefix: "n-shoe"}, every: 2},
		{name: "by a word, dead", filter: history.Filter{Prefix: "shoe", State: event.Dead}, every: 6},
		{name: "by a word, of a handler, dead", filter: history.Filter{Prefix: "shoe", Handler: "download", State: event.Dead}, every: 6},
		{name: "by a word, of a handler", filter: history.Filter{Prefix: "shoe", Handler: "download"}, every: 2},
		{name: "by a word, of a handler that few have", filter: history.Filter{Prefix: "shoe", Handler: "publish"}, every: 60},
		{name: "by several words, for a reason", filter: history.Filter{Prefix: "sk", Reason: event.ReasonExpired}, every: 3},
		{name: "by id", filter: history.Filter{Prefix: "019b"}, every: 1},
		{name: "by id, dead", filter: history.Filter{Prefix: "019b", State: event.Dead}, every: 3},
		{name: "by id, of a handler, dead", filter: history.Filter{Prefix: "019b", Handler: "download", State: event.Dead}, every: 3},
	}
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		db := s.DB
		fillAlike(t, db)
		for _, row := range rows {
			var want []event.ID
			dead := 0
			for n := 2*manyAlike - row.every; n >= 0; n -= row.every {
				want = append(want, planID(n))
				if n%3 == 0 && row.filter.Handler != "publish" {
					dead++
				}
			}
			if got := findAll(t, s, row.filter, func(event.ID) {}); !slices.Equal(got, want) {
				t.Errorf("%s: found %d events, want %d", row.name, len(got), len(want))
			}
			if n, err := s.History.CountDead(t.Context(), row.filter, 10*manyAlike); err != nil || n != dead {
				t.Errorf("%s: CountDead = %d, error %v; want %d", row.name, n, err, dead)
			}
		}
		early := findAll(t, s, history.Filter{Prefix: "earl sku"}, func(event.ID) {})
		if slices.Reverse(early); len(early) != manyAlike || early[0] != planID(0) || !slices.IsSorted(early) {
			t.Errorf("by a word of old events: found %d events, want %d, the newest first", len(early), manyAlike)
		}
		replayed := 0
		findAll(t, s, rows[1].filter, func(id event.ID) {
			steps, err := s.Workflow.Replay(t.Context(), id, workflow.Replay{})
			if replayed += steps; err != nil {
				t.Fatal(err)
			}
		})
		left, err := s.History.CountDead(t.Context(), rows[1].filter, manyAlike)
		if want := manyAlike / 3; err != nil || left != 0 || replayed != want {
			t.Errorf("replayed %d steps and left %d dead events, error %v; want %d and 0", replayed, left, err, want)
		}
	})
}

// findAll reads all pages of a list and calls each for every event.
func findAll(t *testing.T, s *workflowtest.Stores, filter history.Filter, each func(event.ID)) (found []event.ID) {
	t.Helper()
	const limit = 200
	var before event.ID
	for {
		lines, err := s.History.Find(t.Context(), filter, before, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			found, before = append(found, line.ID), line.ID
			each(line.ID)
		}
		if len(lines) < limit {
			return found
		}
	}
}

// fillAlike adds events. Every second has a job with the same prefix, and every third is dead. Later events have lesser jobs.
func fillAlike(t *testing.T, db *database.DB) {
	t.Helper()
	events := &table{name: "events", columns: "id, seq, job, received_at, bytes, state"}
	steps := &table{name: "steps", columns: "event_id, handler, position, state, since, reason, changed_at"}
	words := &table{name: "event_words", columns: "event_id, word"}
	for n := range 2 * manyAlike {
		job, state, reason := fmt.Sprint("other-", n), event.Done, event.Reason("")
		switch {
		case n%2 == 0:
			job = fmt.Sprintf("alike-%04d", 2*manyAlike-n)
		case n == 1:
			job = string(planID(n)) // the same prefix as its id
		}
		if n%3 == 0 {
			state, reason = event.Dead, event.ReasonExpired
		}
		events.add(string(planID(n)), n, job, planTime(n).UnixMicro(), 1, string(state))
		steps.add(string(planID(n)), "download", 0, string(state), 0, string(reason), 0)
		texts := fmt.Sprintf("sku n%d", n)
		if n%2 == 0 {
			texts += " shoe skater"
		}
		if n < manyAlike {
			texts += fmt.Sprint(" early earliest", n)
		}
		if n%600 == 0 {
			texts += " rare alike-" // the same prefix as the job
		}
		for _, word := range event.Words(texts) {
			words.add(string(planID(n)), word)
		}
		if n%60 == 0 {
			steps.add(string(planID(n)), "publish", 0, "done", 0, "", 0)
		}
	}
	insertAll(t, db, events, steps, words)
}

// run begins and finishes an attempt of a step.
func run(t *testing.T, s *workflowtest.Stores, id event.ID, handler string, result workflow.Result) {
	t.Helper()
	attempt, err := s.Workflow.Begin(t.Context(), queue.Job{Event: id, Handler: handler})
	if err != nil {
		t.Fatal(err)
	}
	s.Finish(t, attempt, result)
}

func TestFind(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		begin := time.UnixMilli(0x019a_0000_0000).UTC()
		for n := range 8 {
			a := event.Entry{
				Sequence: int64(n), ID: event.ID(fmt.Sprintf("019a%04x-0000-7000-8000-00000000000%d", n*16, n)),
				Job: fmt.Sprint("job-", n%2, "-", n), Received: begin.Add(time.Duration(n*16<<16) * time.Millisecond), Bytes: 1,
				Names: event.Names{Input: fmt.Sprintf("Shoe_%d.jpg", n), Reference: fmt.Sprint("SKU-47", n/2)},
			}
			s.Add(t, a)
			switch n {
			case 1, 2:
				run(t, s, a.ID, "download", workflow.Result{State: event.Dead, Reason: event.ReasonExpired, Detail: "gone"})
			case 3:
				run(t, s, a.ID, "download", workflow.Result{State: event.Done, Artifacts: []event.Artifact{
					{Handler: "download", Index: -1, MediaType: "application/json"}, {Handler: "download", Index: 0, Width: 2, Height: 3, MediaType: "image/png"},
				}})
				run(t, s, a.ID, "forward", workflow.Result{State: event.Dead, Reason: event.ReasonAuth})
			case 4:
				run(t, s, a.ID, "download", workflow.Result{State: event.Retrying, Reason: event.ReasonTimeout, NextAt: time.Now()})
			}
		}
		at := func(n int) time.Time { return begin.Add(time.Duration(n*16<<16) * time.Millisecond) }
		rows := []struct {
			name   string
			filter history.Filter
			before event.ID
			limit  int
			want   string
		}{
			{name: "all", filter: history.Filter{}, limit: 10, want: "76543210"},
			{name: "newest", filter: history.Filter{}, limit: 3, want: "765"},
			{name: "older than", filter: history.Filter{}, before: "019a0020-0000-7000-8000-000000000002", limit: 10, want: "10"},
			{name: "by state", filter: history.Filter{State: event.Dead}, limit: 10, want: "321"},
			{name: "by job", filter: history.Filter{Job: "job-1-3"}, limit: 10, want: "3"},
			{name: "by the beginning of the job", filter: history.Filter{Prefix: "job-1"}, limit: 10, want: "7531"},
			{name: "by the beginning of the id", filter: history.Filter{Prefix: "019a0040"}, limit: 10, want: "4"},
			{name: "by the beginning of a reference", filter: history.Filter{Prefix: "sku-471"}, limit: 10, want: "32"},
			{name: "by the beginning of an input", filter: history.Filter{Prefix: "Shoe_5"}, limit: 10, want: "5"},
			{name: "by words of both", filter: history.Filter{Prefix: "470 jp"}, limit: 10, want: "10"},
			{name: "by words of different events", filter: history.Filter{Prefix: "shoe_5 471"}, limit: 10, want: ""},
			{name: "by a word, older than", filter: history.Filter{Prefix: "shoe"}, before: "019a0020-0000-7000-8000-000000000002", limit: 10, want: "10"},
			{name: "by a word and a state", filter: history.Filter{Prefix: "shoe", State: event.Dead}, limit: 10, want: "321"},
			{name: "by nothing there is", filter: history.Filter{Prefix: "%"}, limit: 10, want: ""},
			{name: "by handler", filter: history.Filter{Handler: "download"}, limit: 10, want: "76543210"},
			{name: "by handler, older than", filter: history.Filter{Handler: "download"}, before: "019a0020-0000-7000-8000-000000000002", limit: 10, want: "10"},
			{name: "by handler and state", filter: history.Filter{Handler: "download", State: event.Retrying}, limit: 10, want: "4"},
			{name: "by reason", filter: history.Filter{Reason: event.ReasonExpired}, limit: 10, want: "21"},
			{name: "by handler and reason", filter: history.Filter{Handler: "forward", Reason: event.ReasonAuth, State: event.Dead}, limit: 10, want: "3"},
			{name: "from", filter: history.Filter{From: at(5)}, limit: 10, want: "765"},
			{name: "to", filter: history.Filter{To: at(2)}, limit: 10, want: "10"},
			{name: "everything at once", filter: history.Filter{
				Handler: "download", Reason: event.ReasonExpired, State: event.Dead, Prefix: "job", From: at(0), To: at(2),
			}, limit: 10, want: "1"},
		}
		for _, row := range rows {
			lines, err := s.History.Find(t.Context(), row.filter, row.before, row.limit)
			got := ""
			for _, line := range lines {
				got += string(line.ID[len(line.ID)-1])
			}
			if err != nil || got != row.want {
				t.Errorf("%s: got %q, want %q, error %v", row.name, got, row.want, err)
			}
		}
		lines, err := s.History.Find(t.Context(), history.Filter{Job: "job-1-3"}, "", 1)
		if err != nil || len(lines) != 1 || lines[0].Images != 1 || lines[0].First == nil || *lines[0].First != 1 || lines[0].Handler != "forward" {
			t.Errorf("items = %+v, error %v; want one with 1 image, number 1, and a failure of forward", lines, err)
		}
		if n, err := s.History.CountDead(t.Context(), history.Filter{Handler: "download"}, 10); n != 2 || err != nil {
			t.Errorf("CountDead of download = %d, error %v; want 2", n, err)
		}
		if n, err := s.History.CountDead(t.Context(), history.Filter{State: event.Done}, 10); n != 0 || err != nil {
			t.Errorf("CountDead of done events = %d, error %v; want 0", n, err)
		}
		counts, err := s.History.StepCounts(t.Context())
		if err != nil || counts["download"].Dead != 2 || counts["download"].Retrying != 1 || counts["download"].Pending != 4 ||
			counts["download"].Reasons[event.ReasonExpired] != 2 || counts["forward"].Dead != 1 {
			t.Errorf("step counts of download = %+v, error %v; want 2 dead, 1 retrying, 4 pending; of forward 1 dead", counts["download"], err)
		}
		rates, err := s.History.Rates(t.Context(), begin, time.Hour)
		var sum int64
		for _, states := range rates {
			for _, n := range states {
				sum += n
			}
		}
		if err != nil || sum != 8 {
			t.Errorf("rates = %v, error %v; want 8 events", rates, err)
		}
		if oldest, err := s.History.Oldest(t.Context()); err != nil || !oldest.Equal(at(0)) {
			t.Errorf("Oldest = %v, error %v; want %v", oldest, err, at(0))
		}
		if token, err := s.History.ChangeToken(t.Context()); err != nil || token.Newest == "" || token.Counts[event.Dead] != 3 || token.Deferred != 0 {
			t.Errorf("change token = %+v, error %v; want a newest event, 3 dead, 0 deferred", token, err)
		}
	})
}

func TestListPages(t *testing.T) {
	t.Parallel()
	workflowtest.Each(t, func(t *testing.T, place *databasetest.Place) {
		s := workflowtest.Open(t, place)
		for n := range 7 {
			s.Add(t, workflowtest.Entry(n))
		}
		var got []event.ID
		var before event.ID
		for {
			page, err := s.History.List(t.Context(), before, 3)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page {
				got = append(got, e.ID)
				before = e.ID
			}
			if len(page) < 3 {
				break
			}
		}
		if len(got) != 7 || got[0] != workflowtest.Entry(6).ID || got[6] != workflowtest.Entry(0).ID {
			t.Errorf("listed %v, want all 7, the newest first", got)
		}
		if _, err := s.History.Load(t.Context(), "none"); !errors.Is(err, history.ErrNotFound) {
			t.Errorf("Load of an unknown event: error = %v, want ErrNotFound", err)
		}
	})
}
