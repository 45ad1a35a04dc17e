package history

import (
	"cmp"
	"context"
	"slices"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// maxLeading is the maximum number of jobs with a prefix, or of steps of a handler, that are read before their events. If there are
// more, the newest events are read until the page is full. That is fast, unless all matching events are old.
const maxLeading = 2000

// Find returns at most limit events that match a filter, the newest first, that are older than the event before ("" for all).
func (s *Store) Find(ctx context.Context, filter Filter, before event.ID, limit int) ([]ListItem, error) {
	found, err := s.find(ctx, filter, before, limit)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	lines := make([]ListItem, len(found))
	byID := make(map[event.ID]*ListItem, len(found))
	ids := make([]any, len(found))
	for i, e := range found {
		lines[i] = ListItem{Event: e}
		byID[e.ID], ids[i] = &lines[i], string(e.ID)
	}
	if err := s.addFailures(ctx, byID, ids, filter.Handler); err != nil {
		return nil, err
	}
	return lines, s.addImages(ctx, byID, ids)
}

func (s *Store) find(ctx context.Context, filter Filter, before event.ID, limit int) (found []Event, err error) {
	searches, err := s.searches(ctx, filter, before)
	if err != nil {
		return nil, err
	}
	for _, search := range searches {
		rest, values := search.limited(limit)
		part, err := s.events(ctx, rest, values...)
		if err != nil {
			return nil, err
		}
		found = append(found, part...)
	}
	slices.SortFunc(found, func(a, b Event) int { return cmp.Compare(b.ID, a.ID) })
	return found[:min(limit, len(found))], nil
}

// CountDead counts the events with a dead step that match a filter, up to limit.
func (s *Store) CountDead(ctx context.Context, filter Filter, limit int) (count int, err error) {
	filter, possible := filter.OnlyDead()
	if !possible {
		return 0, nil
	}
	searches, err := s.searches(ctx, filter, "")
	for _, search := range searches {
		var n int
		rest, values := search.limited(limit - count)
		err = s.writer.DB.Reader.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT events.id "+rest+") AS found", values...).Scan(&n)
		if count += n; err != nil {
			break
		}
	}
	return count, database.Wrap("history: count", err)
}

// OnlyDead returns the filter for dead events only. It reports false if the filter asks for another state.
func (f Filter) OnlyDead() (_ Filter, possible bool) {
	if f.State != "" && f.State != event.Dead {
		return f, false
	}
	f.State = event.Dead
	return f, true
}

// searches returns disjoint queries that together find all events that match a filter. A prefix needs several, for ids, jobs and the
// words of names, because no index serves all.
func (s *Store) searches(ctx context.Context, f Filter, before event.ID) ([]*conditions, error) {
	kind, stepsFirst := s.writer.DB.Kind, f.stepsFirst()
	if f.Prefix == "" {
		return []*conditions{f.conditions(kind, before, stepsFirst)}, nil
	}
	ids := f.conditions(kind, before, stepsFirst)
	ids.addPrefix(ids.id, f.Prefix)
	jobs, err := s.byJobs(ctx, f, before)
	if err != nil {
		return nil, err
	}
	named, err := s.byWords(ctx, f, before)
	if err != nil {
		return nil, err
	}
	prefix := database.SanitizeText(f.Prefix)
	for _, c := range append(named, jobs) {
		c.add("NOT ("+c.id+" >= ? AND "+c.id+" < ?)", prefix, after(prefix))
	}
	for _, c := range named {
		c.add("NOT (events.job >= ? AND events.job < ?)", prefix, after(prefix))
	}
	return append([]*conditions{ids, jobs}, named...), nil
}

// byJobs returns the query for the events whose job has the prefix.
func (s *Store) byJobs(ctx context.Context, f Filter, before event.ID) (*conditions, error) {
	prefix := database.SanitizeText(f.Prefix)
	few, err := s.areFew(ctx, "events WHERE job >= $2 AND job < $3 ORDER BY job", prefix, after(prefix))
	if err != nil {
		return nil, err
	}
	if few {
		return f.byJobs(s.writer.DB.Kind, before), nil
	}
	stepsFirst, err := s.stepsFirst(ctx, f)
	if err != nil {
		return nil, err
	}
	jobs := f.conditions(s.writer.DB.Kind, before, stepsFirst)
	jobs.addPrefix("events.job || ''", f.Prefix) // an expression, so that the index of jobs is not scanned
	return jobs, nil
}

// stepsFirst reports whether reading the steps first is faster, for a filter with a prefix.
func (s *Store) stepsFirst(ctx context.Context, f Filter) (bool, error) {
	if f.stepsFirst() && f.matchesMostSteps() { // few events have the step only if the handler is new
		return s.areFew(ctx, "steps WHERE handler = $2 ORDER BY event_id", database.SanitizeText(f.Handler))
	}
	return f.stepsFirst(), nil
}

// areFew reports whether a query has at most maxLeading rows.
func (s *Store) areFew(ctx context.Context, rest string, values ...any) (bool, error) {
	var n int
	err := s.writer.DB.Reader.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 FROM "+rest+" LIMIT $1) AS found",
		append([]any{maxLeading + 1}, values...)...).Scan(&n)
	return n <= maxLeading, database.Wrap("history: few", err)
}
