package history

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
)

// Filter selects events. An empty field does not filter. A bulk replay stores it as JSON.
type Filter struct {
	State   event.Status // of the event; with Handler, of the step of this handler
	Job     string       // exact
	Prefix  string       `json:"Begins"` // of the id or of the job, or of words of the names; as JSON the name of older releases
	Handler string       // the event has a step of this handler
	Reason  event.Reason // of a step that failed or is retried; with Handler, of the step of this handler
	From    time.Time    // received at or after
	To      time.Time    // received before
}

// clockSlack is the maximum difference between the time in an id and the time when the event was received.
const clockSlack = time.Minute

// A filter becomes SQL that forces the order in which the tables are read. Left to the planners, one plain query per filter does not
// hold 50 ms with a million events. Measured on 2 busy cores (BenchmarkAdmin, median on SQLite and Postgres):
//
//	handler and state retrying   0.95 s and 0.45 s, here 1 to 18 ms
//	handler and state dead       0.21 s and 0.06 s, here 1 to 18 ms
//	job prefix and handler       2.4 s and 2.1 s, here at most 0.4 s
//	job prefix of few jobs       0.59 s and 0.01 s, here 1 to 18 ms
//
// The planners expect matching rows to be spread evenly and scan the newest events until the page is full. Dead events and jobs
// with a prefix are not spread evenly.

// conditions collects the tables, conditions and parameters of a query.
type conditions struct {
	from   string // tables; the first one is read first, along an index
	id     string // the column with the event's id in the first table
	sorted bool   // the tables are read in the order of the list; SQLite would sort all rows again
	texts  []string
	values []any
}

// add adds a condition; each ? in it is a parameter.
func (c *conditions) add(text string, values ...any) {
	c.texts = append(c.texts, c.bind(text, values...))
}

// bind replaces each ? in text by a numbered parameter.
func (c *conditions) bind(text string, values ...any) string {
	for _, value := range values {
		c.values = append(c.values, value)
		text = strings.Replace(text, "?", "$"+strconv.Itoa(len(c.values)), 1)
	}
	return text
}

// literal returns a word of lower case letters as an SQL literal, and any other text as a parameter. With a literal Postgres knows how
// rare the value is, also in a cached plan.
func (c *conditions) literal(text string) string {
	if strings.Trim(text, "abcdefghijklmnopqrstuvwxyz_") == "" {
		return "'" + text + "'"
	}
	return c.bind("?", text)
}

// limited returns what follows SELECT columns: newest first, at most limit rows.
func (c *conditions) limited(limit int) (rest string, values []any) {
	c.values = append(c.values, limit)
	order := " ORDER BY " + c.id + " DESC"
	if c.sorted {
		order = ""
	}
	return c.from + " WHERE " + strings.Join(append(c.texts, "TRUE"), " AND ") + order + " LIMIT $" + strconv.Itoa(len(c.values)), c.values
}

// addPrefix adds the condition that column begins with prefix.
func (c *conditions) addPrefix(column, prefix string) {
	prefix = database.SanitizeText(prefix)
	c.add(column+" >= ? AND "+column+" < ?", prefix, after(prefix))
}

// joinEvents joins the events by a column with their ids, so that the tables so far are read first. In SQLite a CROSS JOIN keeps the
// order of the tables; in Postgres OFFSET 0 does, which prevents that the subquery is merged into the query.
func (c *conditions) joinEvents(kind database.Kind, id string) {
	if kind == database.Postgres {
		c.from += " CROSS JOIN LATERAL (SELECT * FROM events WHERE events.id = " + id + " OFFSET 0) AS events"
		return
	}
	c.from += " CROSS JOIN events"
	c.add("events.id = " + id)
}

// conditions returns the filter as SQL, without its prefix. Ids begin with the time, so the index of the ids serves for times too.
// stepsFirst reads the steps before the events.
func (f Filter) conditions(kind database.Kind, before event.ID, stepsFirst bool) *conditions {
	c := &conditions{from: "FROM events", id: "events.id"}
	if stepsFirst {
		c.from, c.id = "FROM steps"+f.hint(kind), "steps.event_id"
		c.joinEvents(kind, c.id)
		c.add(f.step(c))
		if f.Handler == "" { // an event with several matching steps is found once
			c.add(`NOT EXISTS (SELECT 1 FROM steps AS earlier WHERE earlier.event_id = steps.event_id
				AND earlier.reason = steps.reason AND earlier.handler < steps.handler)`)
		}
	} else {
		f.addStep(c)
	}
	f.addRest(c, before)
	return c
}

// byJobs returns the filter as SQL that reads the jobs with the prefix before the events.
func (f Filter) byJobs(kind database.Kind, before event.ID) *conditions {
	const all = math.MaxInt32 // the caller knows that there are few; a LIMIT prevents that Postgres merges the two queries
	c := &conditions{id: "events.id"}
	prefix := database.SanitizeText(f.Prefix)
	c.from = c.bind("FROM (SELECT id FROM events WHERE job >= ? AND job < ? ORDER BY job LIMIT ?) AS found",
		prefix, after(prefix), all)
	c.joinEvents(kind, "found.id")
	f.addStep(c)
	f.addRest(c, before)
	return c
}

// addStep adds the condition that an event has a matching step, if the filter asks for one. OFFSET 0 prevents that Postgres reads the
// steps first.
func (f Filter) addStep(c *conditions) {
	if f.Handler != "" || f.Reason != "" {
		c.add("EXISTS (SELECT 1 FROM steps WHERE steps.event_id = events.id AND " + f.step(c) + " LIMIT 1 OFFSET 0)")
	}
}

// addRest adds the conditions for the event itself.
func (f Filter) addRest(c *conditions, before event.ID) {
	if before != "" {
		c.add(c.id+" < ?", string(before))
	}
	if f.State != "" && f.Handler == "" {
		c.add("events.state = " + c.literal(string(f.State)))
	}
	if f.Job != "" {
		c.add("events.job = ?", database.SanitizeText(f.Job))
	}
	f.addTimes(c)
}

// stepsFirst reports whether reading the steps first is faster. It is not if few events have the state or the job.
func (f Filter) stepsFirst() bool {
	switch {
	case f.Job != "":
		return false
	case f.Handler != "":
		return true
	default:
		return f.Reason != "" && (f.State == "" || f.State == event.Done || f.State == event.Dead)
	}
}

// matchesMostSteps reports whether most steps of the handler match.
func (f Filter) matchesMostSteps() bool {
	return f.Handler != "" && f.Reason == "" && (f.State == "" || f.State == event.Done)
}

// step returns the condition for a step. It names the condition of the partial index of steps with a reason, so that the index is used.
func (f Filter) step(c *conditions) string {
	var texts []string
	if f.Handler != "" {
		texts = append(texts, c.bind("steps.handler = ?", database.SanitizeText(f.Handler)))
		if f.State != "" {
			texts = append(texts, "steps.state = "+c.literal(string(f.State)))
		}
	}
	if f.Reason != "" {
		texts = append(texts, "steps.reason = "+c.literal(database.SanitizeText(string(f.Reason))))
	}
	if f.Reason != "" || f.Handler != "" && failed(f.State) {
		texts = append(texts, "steps.reason <> ''")
	}
	return strings.Join(texts, " AND ")
}

// hint names the partial index of steps with a reason. After ANALYZE, SQLite would use the index of all steps of the handler instead.
func (f Filter) hint(kind database.Kind) string {
	if kind == database.SQLite && f.Handler != "" && (f.Reason != "" || failed(f.State)) {
		return " INDEXED BY steps_failure"
	}
	return ""
}

// failed reports whether steps in a state always have a reason.
func failed(state event.Status) bool {
	return state == event.Dead || state == event.Retrying || state == event.Quarantined
}

func (f Filter) addTimes(c *conditions) {
	if !f.From.IsZero() {
		c.add(c.id+" >= ?", firstID(f.From.Add(-clockSlack)))
		c.add("events.received_at >= ?", f.From.UnixMicro())
	}
	if !f.To.IsZero() {
		c.add(c.id+" < ?", firstID(f.To.Add(clockSlack)))
		c.add("events.received_at < ?", f.To.UnixMicro())
	}
}

// after returns a text that sorts after all texts with this prefix.
func after(prefix string) string { return prefix + "\U0010FFFF" }

// firstID returns the least UUID of version 7 of a time.
func firstID(at time.Time) string {
	const digits = 12 // of the milliseconds since 1970
	text := strconv.FormatInt(max(0, at.UnixMilli()), 16)
	text = strings.Repeat("0", max(0, digits-len(text))) + text
	return text[:8] + "-" + text[8:]
}
