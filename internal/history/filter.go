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
	Prefix  string       `json:"Begins"` // of the id or of the job; the name of releases before the field was renamed
	Handler string       // the event has a step of this handler
	Reason  event.Reason // of a step that failed or is retried; with Handler, of the step of this handler
	From    time.Time    // received at or after
	To      time.Time    // received before
}

// clockSlack is the maximum difference between the time in an id and the time when the event was received.
const clockSlack = time.Minute

// conditions gathers what is asked of an event, with its parameters.
type conditions struct {
	from   string // tables; the first leads, along its index
	id     string // the column of the event's id in the table that leads
	texts  []string
	values []any
}

// add adds a condition; each ? in it is a parameter.
func (c *conditions) add(text string, values ...any) {
	c.texts = append(c.texts, c.bind(text, values...))
}

// bind makes numbered parameters of each ? in a text.
func (c *conditions) bind(text string, values ...any) string {
	for _, value := range values {
		c.values = append(c.values, value)
		text = strings.Replace(text, "?", "$"+strconv.Itoa(len(c.values)), 1)
	}
	return text
}

// word writes a word of a small set as it is, so that Postgres knows how rare it is also in a plan that it keeps for all
// values of the parameters. Any other text is a parameter.
func (c *conditions) word(text string) string {
	if strings.Trim(text, "abcdefghijklmnopqrstuvwxyz_") == "" {
		return "'" + text + "'"
	}
	return c.bind("?", text)
}

// limited is what follows SELECT columns: newest first, at most limit rows.
func (c *conditions) limited(limit int) (rest string, values []any) {
	c.values = append(c.values, limit)
	return c.from + " WHERE " + strings.Join(append(c.texts, "TRUE"), " AND ") +
		" ORDER BY " + c.id + " DESC LIMIT $" + strconv.Itoa(len(c.values)), c.values
}

// addBeginning asks how a column begins.
func (c *conditions) addBeginning(column, beginning string) {
	begins := database.SanitizeText(beginning)
	c.add(column+" >= ? AND "+column+" < ?", begins, after(begins))
}

// lead has what is there so far lead to the events, one by one, by a column with their ids. Postgres would else count on finding
// enough of them soon among the newest events, and go through all of them when they are old.
func (c *conditions) lead(kind database.Kind, id string) {
	if kind == database.Postgres {
		c.from += " CROSS JOIN LATERAL (SELECT * FROM events WHERE events.id = " + id + " OFFSET 0) AS events"
		return
	}
	c.from += " CROSS JOIN events"
	c.add("events.id = " + id)
}

// conditions says the filter in SQL, but for the beginning, so that an index leads to the events whatever is asked for; ids
// begin with the time, so that they serve as an index of that as well.
func (f Filter) conditions(kind database.Kind, before event.ID, stepsLead bool) *conditions {
	c := &conditions{from: "FROM events", id: "events.id"}
	if stepsLead {
		c.from, c.id = "FROM steps"+f.hint(kind), "steps.event_id"
		c.lead(kind, c.id)
		c.add(f.step(c))
		if f.Handler == "" { // an event with several such steps is found once
			c.add(`NOT EXISTS (SELECT 1 FROM steps AS earlier WHERE earlier.event_id = steps.event_id
				AND earlier.reason = steps.reason AND earlier.handler < steps.handler)`)
		}
	} else {
		f.addStep(c)
	}
	f.addRest(c, before)
	return c
}

// ofJobs has the jobs that begin so lead to the events.
func (f Filter) ofJobs(kind database.Kind, before event.ID) *conditions {
	const all = math.MaxInt32 // of those that were few a moment ago; a limit keeps Postgres from mixing the two queries
	c := &conditions{id: "events.id"}
	begins := database.SanitizeText(f.Prefix)
	c.from = c.bind("FROM (SELECT id FROM events WHERE job >= ? AND job < ? ORDER BY job LIMIT ?) AS found",
		begins, after(begins), all)
	c.lead(kind, "found.id")
	f.addStep(c)
	f.addRest(c, before)
	return c
}

// addStep asks of each event that is found whether it has the step that is wanted, if one is. The offset keeps Postgres from
// beginning with the steps.
func (f Filter) addStep(c *conditions) {
	if f.Handler != "" || f.Reason != "" {
		c.add("EXISTS (SELECT 1 FROM steps WHERE steps.event_id = events.id AND " + f.step(c) + " LIMIT 1 OFFSET 0)")
	}
}

// addRest asks what is asked of the event itself.
func (f Filter) addRest(c *conditions, before event.ID) {
	if before != "" {
		c.add(c.id+" < ?", string(before))
	}
	if f.State != "" && f.Handler == "" {
		c.add("events.state = " + c.word(string(f.State)))
	}
	if f.Job != "" {
		c.add("events.job = ?", database.SanitizeText(f.Job))
	}
	f.addTimes(c)
}

// stepsLead says that steps are the shortest way to the events. Where only few events are in the state that is asked for, or
// have the name, those are.
func (f Filter) stepsLead() bool {
	switch {
	case f.Job != "":
		return false
	case f.Handler != "":
		return true
	default:
		return f.Reason != "" && (f.State == "" || f.State == event.Done || f.State == event.Dead)
	}
}

// isOrdinary says that most steps of a handler are as those that are wanted.
func (f Filter) isOrdinary() bool {
	return f.Handler != "" && f.Reason == "" && (f.State == "" || f.State == event.Done)
}

// step asks for the step that is wanted. Those that failed or fail carry a reason, and say so here for the sake of their index.
func (f Filter) step(c *conditions) string {
	var asked []string
	if f.Handler != "" {
		asked = append(asked, c.bind("steps.handler = ?", database.SanitizeText(f.Handler)))
		if f.State != "" {
			asked = append(asked, "steps.state = "+c.word(string(f.State)))
		}
	}
	if f.Reason != "" {
		asked = append(asked, "steps.reason = "+c.word(database.SanitizeText(string(f.Reason))))
	}
	if f.Reason != "" || f.Handler != "" && failed(f.State) {
		asked = append(asked, "steps.reason <> ''")
	}
	return strings.Join(asked, " AND ")
}

// hint names the index of the steps of a handler that failed or fail. SQLite would else take that of all its steps, if it ever counted them.
func (f Filter) hint(kind database.Kind) string {
	if kind == database.SQLite && f.Handler != "" && (f.Reason != "" || failed(f.State)) {
		return " INDEXED BY steps_trouble"
	}
	return ""
}

// failed says that steps in a state always carry the reason why.
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

// after is the first text that does not begin with beginning and comes after all that do.
func after(beginning string) string { return beginning + "\U0010FFFF" }

// firstID is the least id of version 7 that can be made at a time.
func firstID(at time.Time) string {
	const digits = 12 // of the milliseconds since 1970
	text := strconv.FormatInt(max(0, at.UnixMilli()), 16)
	text = strings.Repeat("0", max(0, digits-len(text))) + text
	return text[:8] + "-" + text[8:]
}
