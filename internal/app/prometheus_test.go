package app_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/testkit"
)

const (
	alertsFile    = "../../deploy/prometheus/alerts.yml"
	dashboardFile = "../../deploy/grafana/receiver.json"
)

// lookProgram returns the path of a program of the package prometheus. Without it the test is skipped.
func lookProgram(t *testing.T, name string) string {
	t.Helper()
	program, err := exec.LookPath(name)
	if err != nil {
		t.Skip(".ci/with-packages installs " + name)
	}
	return program
}

func readText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// promtool accepts the alerts and their unit tests. Each alert has a case and a paragraph in the runbook.
func TestAlerts(t *testing.T) {
	t.Parallel()
	promtool := lookProgram(t, "promtool")
	tests := filepath.Join(filepath.Dir(alertsFile), "alerts_test.yml")
	for _, arguments := range [][]string{{"check", "rules", alertsFile}, {"test", "rules", tests}} {
		if output, err := exec.CommandContext(t.Context(), promtool, arguments...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s = %v, want success:\n%s", strings.Join(arguments, " "), err, output)
		}
	}
	alerts, cases := readText(t, alertsFile), readText(t, tests)
	runbook := readText(t, filepath.Join(filepath.Dir(alertsFile), "README.md"))
	names := regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(alerts, -1)
	if len(names) < 20 {
		t.Errorf("alerts = %d, want all", len(names))
	}
	for _, match := range names {
		name := match[1]
		if !strings.Contains(alerts, "/deploy/prometheus/README.md#"+strings.ToLower(name)+"\n") || !strings.Contains(runbook, "\n### "+name+"\n") {
			t.Errorf("%s has no link to its paragraph in the runbook, want one", name)
		}
		if !strings.Contains(cases, `{alertname="`+name+`"}`) {
			t.Errorf("%s fires in no case of alerts_test.yml, want one", name)
		}
	}
}

// A Prometheus that scrapes a receiver evaluates every alert and has a result for every query of the dashboard.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	client := newClient(t)
	r, _ := startMeasured(t, client, databasetest.NewPlace(t, database.SQLite))
	p := r.startPrometheus(t, client, lookProgram(t, "prometheus"))
	queries := dashboardQueries(t)
	r.until(t, func() (bool, any) {
		for n, query := range queries {
			var found struct {
				Status, Error string
				Data          struct{ Result []json.RawMessage }
			}
			p.get(t, "/api/v1/query?query="+url.QueryEscape(query), &found)
			if found.Status == "error" {
				t.Fatalf("query %s fails: %s", query, found.Error)
			}
			if len(found.Data.Result) == 0 {
				queries = queries[n:]
				return false, "no result of " + query
			}
		}
		return true, nil
	})
	r.until(t, func() (bool, any) {
		var rules struct {
			Data struct {
				Groups []struct {
					Rules []struct{ Name, Health, LastError string }
				}
			}
		}
		p.get(t, "/api/v1/rules", &rules)
		if len(rules.Data.Groups) != 1 {
			t.Fatalf("groups of rules = %d, want 1", len(rules.Data.Groups))
		}
		for _, rule := range rules.Data.Groups[0].Rules {
			if rule.Health != "ok" {
				return false, rule
			}
		}
		return true, nil
	})
}

// prometheus is a running Prometheus.
type prometheus struct {
	client *http.Client
	base   string
}

// startPrometheus starts a Prometheus that scrapes the receiver every second.
func (r *receiver) startPrometheus(t *testing.T, client *http.Client, program string) prometheus {
	t.Helper()
	rules, err := filepath.Abs(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	folder, address := t.TempDir(), testkit.FreeAddress(t)
	configuration := filepath.Join(folder, "prometheus.yml")
	text := `global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: ["` + rules + `"]
scrape_configs: [{ job_name: receiver, static_configs: [{ targets: ["` + r.AdminAddr().String() + `"] }] }]
`
	if err := os.WriteFile(configuration, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &testkit.Log{}
	command := exec.CommandContext(t.Context(), program, "--config.file", configuration, "--storage.tsdb.path", filepath.Join(folder, "data"),
		"--web.listen-address", address, "--log.level", "warn")
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait() // it was killed
		if t.Failed() {
			t.Log(log.String())
		}
	})
	p := prometheus{client: client, base: "http://" + address}
	r.until(t, func() (bool, any) {
		response, err := p.request(t, "/-/ready")
		if err != nil {
			return false, err
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK, response.Status
	})
	return p
}

func (p prometheus) request(t *testing.T, path string) (*http.Response, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p.client.Do(request)
}

func (p prometheus) get(t *testing.T, path string, into any) {
	t.Helper()
	response, err := p.request(t, path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		t.Fatalf("response of %s: %v", path, err)
	}
}

// dashboardQueries returns all queries of the dashboard, with its variables replaced.
func dashboardQueries(t *testing.T) (queries []string) {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title, Type string
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(readText(t, dashboardFile)), &dashboard); err != nil {
		t.Fatal(err)
	}
	variables := strings.NewReplacer("$__rate_interval", "1m", "$job", "receiver")
	for _, panel := range dashboard.Panels {
		if len(panel.Targets) == 0 && panel.Type != "row" {
			t.Errorf("panel %s has no query, want one", panel.Title)
		}
		for _, target := range panel.Targets {
			query := variables.Replace(target.Expr)
			if strings.Contains(query, "$") {
				t.Errorf("query %s has an unknown variable, want $job and $__rate_interval only", target.Expr)
			}
			queries = append(queries, query)
		}
	}
	if len(queries) < 40 {
		t.Errorf("queries = %d, want all", len(queries))
	}
	return queries
}
