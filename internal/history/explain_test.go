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

// explain returns the fault of the plan of a query, "" for none.
func explain(t *testing.T, db *database.DB, query query) string {
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
	if rows := plans[0].Plan.read(); rows > planRows {
		return fmt.Sprintf("reads %d rows\n%s", int(rows), text)
	}
	return ""
}

// plan is a node of a Postgres plan.
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
	if p.Type == "Seq Scan" && p.Relation != "targets" { // a small table
		return "reads the whole table " + p.Relation
	}
	for _, below := range p.Plans {
		if fault := below.fault(); fault != "" {
			return fault
		}
	}
	return ""
}

// read returns the number of table rows that were read.
func (p plan) read() (rows float64) {
	if p.Relation != "" || p.Index != "" {
		rows = (p.Rows + p.Removed) * p.Loops
	}
	for _, below := range p.Plans {
		rows += below.read()
	}
	return rows
}

// newest matches queries that read events in the order of their ids until the page is full: without a filter, or with a prefix that
// many jobs have.
var newest = regexp.MustCompile(`FROM events (WHERE (.*events\.job \|\| .* AND )?TRUE )?ORDER BY (events\.)?id DESC LIMIT`)

var (
	// scanned matches full scans of tables, or of indexes of all their rows.
	scanned = regexp.MustCompile(`^SCAN (events|steps|attempts|artifacts|tracked_jobs)( USING .*)?$`)
	// small matches indexes of few rows, which may be scanned.
	small = regexp.MustCompile(`INDEX steps_(failure|pending|deferred|outage|running)$`)
	// paged matches queries for a page, which must not sort, except for the few jobs with a prefix.
	paged = regexp.MustCompile(`^SELECT events\..* ORDER BY .* LIMIT \$\d+$`)
	few   = regexp.MustCompile(`AS found CROSS JOIN events`)
)

// faultOf returns the fault of a line of an SQLite plan, "" for none.
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

func explainSQLite(t *testing.T, db *database.DB, query query) string {
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
