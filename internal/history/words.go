package history

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// Bounds of the ways to search words. Which is fast depends on how many rows a word has, and of which events:
//
//   - Few rows are read and sorted before their events, whatever else the filter says.
//   - Where the newest events match often, they are read until the page is full.
//   - Otherwise up to maxWordRows rows are read and sorted too: 0.1 s for 200,000, where reading the events takes seconds.
const (
	maxWordRows = 1_000_000
	probeEvents = 1000 // the newest events
	probeOften  = 100  // of them
)

// byWords returns disjoint queries for the events with a filter whose names match its prefix: for each word of the prefix, a word of the
// names begins with it.
func (s *Store) byWords(ctx context.Context, f Filter, before event.ID) ([]*conditions, error) {
	words := event.Words(database.SanitizeText(f.Prefix))
	if len(words) == 0 {
		return nil, nil
	}
	kind := s.writer.DB.Kind
	if n, err := s.rarestWord(ctx, words, maxLeading); err != nil || n >= 0 {
		return byRarest(f, kind, before, words, n), err
	}
	stepsFirst, err := s.stepsFirst(ctx, f)
	if err != nil {
		return nil, err
	}
	often := stepsFirst || f.Job != "" || f.State != "" && f.State != event.Done // the filter without the prefix finds few events
	if !often {
		if often, err = s.matchOften(ctx, f, before, words); err != nil {
			return nil, err
		}
	}
	if !often {
		if n, err := s.rarestWord(ctx, words, maxWordRows); err != nil || n >= 0 {
			return byRarest(f, kind, before, words, n), err
		}
	}
	return withWords([]*conditions{f.conditions(kind, before, stepsFirst)}, words), nil
}

// rarestWord returns the index of the word that begins the fewest words of events, or -1 if each begins more than limit.
func (s *Store) rarestWord(ctx context.Context, words []string, limit int) (rarest int, err error) {
	rarest, rows := -1, limit+1
	for n, word := range words {
		var found int
		err := s.writer.DB.Reader.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM event_words WHERE word >= $1 AND word < $2
			ORDER BY word, event_id LIMIT $3) AS found`, word, after(word), rows).Scan(&found)
		if err != nil {
			return -1, database.Wrap("history: words", err)
		}
		if found < rows {
			rarest, rows = n, found
		}
	}
	return rarest, nil
}

// matchOften reports whether many of the newest events that the filter finds without its prefix match words.
func (s *Store) matchOften(ctx context.Context, f Filter, before event.ID, words []string) (bool, error) {
	window := &conditions{from: "FROM events", id: "events.id"}
	f.addRest(window, before)
	rest, _ := window.limited(probeEvents)
	c := &conditions{from: "FROM (SELECT events.id " + rest + ") AS events", values: window.values}
	withWords([]*conditions{c}, words)
	var n int
	err := s.writer.DB.Reader.QueryRowContext(ctx, "SELECT count(*) "+c.from+" WHERE "+strings.Join(c.texts, " AND "), c.values...).Scan(&n)
	return n >= probeOften, database.Wrap("history: words", err)
}

// byRarest returns the queries that read the rows of word n before the events; nil if n is negative.
func byRarest(f Filter, kind database.Kind, before event.ID, words []string, n int) []*conditions {
	if n < 0 {
		return nil
	}
	return withWords([]*conditions{f.byRareWord(kind, before, words[n])}, slices.Delete(words, n, n+1))
}

// withWords adds the condition that the names match words. OFFSET 0 prevents that Postgres reads the words first.
func withWords(searches []*conditions, words []string) []*conditions {
	for _, c := range searches {
		for _, word := range words {
			c.add("EXISTS (SELECT 1 FROM event_words AS other WHERE other.event_id = events.id AND other.word >= ? AND other.word < ? LIMIT 1 OFFSET 0)",
				word, after(word))
		}
	}
	return searches
}

// byRareWord returns the filter as SQL that reads all rows of the words with a prefix before the events, the newest first.
func (f Filter) byRareWord(kind database.Kind, before event.ID, prefix string) *conditions {
	const all = math.MaxInt32 // a LIMIT keeps the order in SQLite, and prevents that Postgres merges the two queries
	c := &conditions{id: "found.event_id", sorted: kind == database.SQLite}
	c.from = c.bind("FROM (SELECT DISTINCT event_id FROM event_words WHERE word >= ? AND word < ? ORDER BY event_id DESC LIMIT ?) AS found",
		prefix, after(prefix), all)
	c.joinEvents(kind, c.id)
	f.addStep(c)
	f.addRest(c, before)
	return c
}
