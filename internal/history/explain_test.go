package history_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database"
)

// explain says what is wrong with the plan of a query; "" for nothing.
func explain(t *testing.T, db *database.DB, query asked) string {
	t.Helper()
	if db.Kind == database.SQLite {
		return explainSQLite(t, db, query)
	}
	var text []byte
	if err := db.Reader.QueryRowContext(t.Context(), "EXPLAIN (ANALYZE, FORMAT JSON) "+query.text, query.values...).Scan(&text); err != nil {
		return err.Error()
	}
	var plans []struct{ Plan plan }
	if err := json.Unmarshal(text, &plans); err != nil || len(plans) != 1 {
		return fmt.Sprintf("the plan is %s, error %v", text, err)
	}
	if fault := plans[0].Plan.fault(); fault != "" {
		return fault + "\n" + string(text)
	}
	if rows := plans[0].Plan.looked(); rows > planRows {
		return fmt.Sprintf("it looks at %d rows\n%s", int(rows), text)
	}
	return ""
}

// plan is a node of a plan of Postgres.
type plan struct {
	Type     string  `json:"Node Type"`
	Relation string  `json:"Relation Name"`
	Index    string  `json:"Index Name"`
	Rows     float64 `json:"Actual Rows"`
	Loops    float64 `json:"Actual Loops"`
	Removed  float64 `json:"Rows Removed by Filter"`
	Plans    []plan
}

func (p plan) fault() string {
	if p.Type == "Seq Scan" && p.Relation != "targets" { // of which there are a handful
		return "it reads all of " + p.Relation
	}
	for _, below := range p.Plans {
		if fault := below.fault(); fault != "" {
			return fault
		}
	}
	return ""
}

// looked is how many rows of tables were looked at.
func (p plan) looked() (rows float64) {
	if p.Relation != "" || p.Index != "" {
		rows = (p.Rows + p.Removed) * p.Loops
	}
	for _, below := range p.Plans {
		rows += below.looked()
	}
	return rows
}

// newest are queries that go through events in the order of their ids until they have enough: of all, or of those whose job begins
// as many do.
var newest = regexp.MustCompile(`FROM events (WHERE (.*events\.job \|\| .* AND )?TRUE )?ORDER BY (events\.)?id DESC LIMIT`)

var (
	// scanned are tables, and indexes of all their rows, that are read from one end to the other.
	scanned = regexp.MustCompile(`^SCAN (events|steps|attempts|artifacts|tracked_jobs)( USING .*)?$`)
	// small are indexes of few rows, all of which may be read.
	small = regexp.MustCompile(`INDEX steps_(trouble|pending|deferred|running)$`)
	// paged are queries for a part of a list. They find its rows in their order, but for the jobs that begin alike, which are few.
	paged = regexp.MustCompile(`^SELECT events\..* ORDER BY .* LIMIT \$\d+$`)
	few   = regexp.MustCompile(`AS found CROSS JOIN events`)
)

// faultOf says what is wrong with a line of a plan of SQLite; "" for nothing.
func faultOf(query, line string) string {
	query = strings.Join(strings.Fields(query), " ")
	switch {
	case scanned.MatchString(line) && !small.MatchString(line) && !newest.MatchString(query):
		return line
	case line == "USE TEMP B-TREE FOR ORDER BY" && paged.MatchString(query) && !few.MatchString(query):
		return line
	default:
		return ""
	}
}

func explainSQLite(t *testing.T, db *database.DB, query asked) string {
	t.Helper()
	rows, err := db.Reader.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query.text, query.values...)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = rows.Close() }()
	var details []string
	fault := ""
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			return err.Error()
		}
		details = append(details, detail)
		fault = cmp.Or(fault, faultOf(query.text, detail))
	}
	if fault == "" && rows.Err() == nil {
		return ""
	}
	return fmt.Sprintf("%s: %s, error %v", fault, strings.Join(details, " | "), rows.Err())
}
