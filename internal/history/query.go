package history

import (
	"cmp"
	"context"
	"slices"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// maxLeading is how many jobs that begin alike, or steps of a handler besides, lead to their events. With more of them the newest
// events are gone through instead: then it does not take many to find enough, unless all of those are old.
const maxLeading = 2000

// Find lists the newest events that a filter lets through and that are older than the one named
// (all if ""), at most limit of them.
func (s *Store) Find(ctx context.Context, filter Filter, before event.ID, limit int) ([]ListItem, error) {
	found, err := s.find(ctx, filter, before, limit)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	lines := make([]ListItem, len(found))
	at := make(map[event.ID]*ListItem, len(found))
	ids := make([]any, len(found))
	for i, e := range found {
		lines[i] = ListItem{Event: e}
		at[e.ID], ids[i] = &lines[i], string(e.ID)
	}
	if err := s.addFailures(ctx, at, ids, filter.Handler); err != nil {
		return nil, err
	}
	return lines, s.addImages(ctx, at, ids)
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

// CountDead counts the events with a dead step that a filter lets through, no further than limit.
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

// OnlyDead asks for dead events alone, which contradicts a filter for another state.
func (f Filter) OnlyDead() (_ Filter, possible bool) {
	if f.State != "" && f.State != event.Dead {
		return f, false
	}
	f.State = event.Dead
	return f, true
}

// searches are queries that find all that a filter lets through, and none of them what another one finds. How an id begins and
// how a job does is looked for apart: an index leads to either, but to no mixture of them.
func (s *Store) searches(ctx context.Context, f Filter, before event.ID) ([]*conditions, error) {
	kind, lead := s.writer.DB.Kind, f.stepsLead()
	if f.Prefix == "" {
		return []*conditions{f.conditions(kind, before, lead)}, nil
	}
	ids := f.conditions(kind, before, lead)
	ids.addBeginning(ids.id, f.Prefix)
	jobs, err := s.ofJobs(ctx, f, before)
	if err != nil {
		return nil, err
	}
	jobs.add("NOT ("+jobs.id+" >= ? AND "+jobs.id+" < ?)", database.SanitizeText(f.Prefix), after(database.SanitizeText(f.Prefix)))
	return []*conditions{ids, jobs}, nil
}

// ofJobs finds the events whose job begins as asked.
func (s *Store) ofJobs(ctx context.Context, f Filter, before event.ID) (*conditions, error) {
	begins := database.SanitizeText(f.Prefix)
	few, err := s.areFew(ctx, "events WHERE job >= $2 AND job < $3 ORDER BY job", begins, after(begins))
	if err != nil {
		return nil, err
	}
	if few {
		return f.ofJobs(s.writer.DB.Kind, before), nil
	}
	lead := f.stepsLead()
	if lead && f.isOrdinary() { // most events have such a step, if the handler is not a new one
		if lead, err = s.areFew(ctx, "steps WHERE handler = $2 ORDER BY event_id", database.SanitizeText(f.Handler)); err != nil {
			return nil, err
		}
	}
	jobs := f.conditions(s.writer.DB.Kind, before, lead)
	jobs.addBeginning("events.job || ''", f.Prefix) // so that no index of jobs is gone through from its beginning to its end
	return jobs, nil
}

// areFew says that so few rows lead to their events that it does not take long.
func (s *Store) areFew(ctx context.Context, rest string, values ...any) (bool, error) {
	var n int
	err := s.writer.DB.Reader.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 FROM "+rest+" LIMIT $1) AS found",
		append([]any{maxLeading + 1}, values...)...).Scan(&n)
	return n <= maxLeading, database.Wrap("history: few", err)
}
