package archtest_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocumentationNamesVariables compares every variable that a page or a deployment
// file names with the configuration table.
func TestDocumentationNamesVariables(t *testing.T) {
	t.Parallel()
	table := read(t, "cmd/receiver/README.md")
	for _, name := range textFiles(t) {
		if path.Ext(name) == ".go" {
			continue
		}
		for _, variable := range regexp.MustCompile(`RECEIVER_[A-Z0-9_]*[A-Z0-9]\b`).FindAllString(read(t, name), -1) {
			if !strings.Contains(table, "`"+variable+"`") {
				t.Errorf("%s names %s, want a variable of the table in cmd/receiver/README.md", name, variable)
			}
		}
	}
}

// TestDocumentationNamesRoutes compares every route that a page names with the specification.
func TestDocumentationNamesRoutes(t *testing.T) {
	t.Parallel()
	specification := read(t, "api/openapi.yaml")
	route := regexp.MustCompile("`(?:GET|POST|DELETE) (/[a-z0-9/{}._-]*)")
	for _, name := range pages(t) {
		for _, match := range route.FindAllStringSubmatch(read(t, name), -1) {
			if !strings.Contains(specification, "\n  "+match[1]+":\n") {
				t.Errorf("%s names the route %s, want one of api/openapi.yaml", name, match[1])
			}
		}
	}
}

// TestDocumentationNamesTests compares every test and benchmark that a command of a page runs with the code.
func TestDocumentationNamesTests(t *testing.T) {
	t.Parallel()
	var code strings.Builder
	for _, name := range textFiles(t) {
		if strings.HasSuffix(name, "_test.go") {
			code.WriteString(read(t, name))
		}
	}
	command := regexp.MustCompile(`(-run |-bench |BENCH=)(\w+)`)
	for _, name := range append(pages(t), "Makefile") {
		for _, match := range command.FindAllStringSubmatch(read(t, name), -1) {
			kind := "Benchmark"
			if match[1] == "-run " {
				kind = "Test"
			}
			if !regexp.MustCompile(`func ` + kind + `\w*` + strings.TrimPrefix(match[2], kind)).MatchString(code.String()) {
				t.Errorf("%s runs %s, want a test or benchmark that exists", name, match[2])
			}
		}
	}
}

// TestDocumentationNamesMetrics compares the metrics of the manual with those of the code, in both directions.
func TestDocumentationNamesMetrics(t *testing.T) {
	t.Parallel()
	defined := map[string]bool{}
	definition := regexp.MustCompile(`(?:Name: |describe\()"(receiver_\w+)"`)
	for _, name := range textFiles(t) {
		if path.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go") {
			for _, match := range definition.FindAllStringSubmatch(read(t, name), -1) {
				defined[match[1]] = true
			}
		}
	}
	if len(defined) < 25 {
		t.Errorf("metrics in the code = %d, want all", len(defined))
	}
	table := read(t, "deploy/README.md")
	for metric := range defined {
		if !strings.Contains(table, "\n| `"+metric+"` |") {
			t.Errorf("the table of deploy/README.md lacks the metric %s, want it", metric)
		}
	}
	for _, name := range pages(t) {
		for _, match := range regexp.MustCompile("`(receiver_[a-z_]+)").FindAllStringSubmatch(read(t, name), -1) {
			if !defined[match[1]] {
				t.Errorf("%s names %s, want a metric of the code", name, match[1])
			}
		}
	}
	series := regexp.MustCompile(`\breceiver_[a-z_]+`)
	for _, name := range []string{"deploy/prometheus/alerts.yml", "deploy/prometheus/alerts_test.yml", "deploy/grafana/receiver.json"} {
		for _, found := range series.FindAllString(read(t, name), -1) {
			histogram := found
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				histogram = strings.TrimSuffix(histogram, suffix)
			}
			if !defined[found] && !defined[histogram] {
				t.Errorf("%s names %s, want a metric of the code", name, found)
			}
		}
	}
}

// TestFaultsHaveTests looks for the number of every fault of the list in the tests, as the list says.
func TestFaultsHaveTests(t *testing.T) {
	t.Parallel()
	tested := map[string]bool{}
	number := regexp.MustCompile(`\b[A-F][1-9][0-9]?\b`)
	for _, name := range textFiles(t) {
		if strings.HasSuffix(name, "_test.go") || strings.Contains(name, "test/") {
			for _, found := range number.FindAllString(read(t, name), -1) {
				tested[found] = true
			}
		}
	}
	row := regexp.MustCompile(`(?m)^\| ([A-F][1-9][0-9]?) \|`)
	rows := row.FindAllStringSubmatch(read(t, ".github/FAULTS.md"), -1)
	for _, match := range rows {
		if !tested[match[1]] {
			t.Errorf("tests that name fault %s = 0, want at least 1", match[1])
		}
	}
	if len(rows) < 70 {
		t.Errorf("rows = %d, want all of the list", len(rows))
	}
}

// TestDocumentationLinks follows every link between pages, and to a heading.
func TestDocumentationLinks(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)\s]*)\)`)
	for _, name := range pages(t) {
		for _, match := range link.FindAllStringSubmatch(read(t, name), -1) {
			target, heading, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := name
			if target != "" {
				file = path.Join(path.Dir(name), target)
			}
			if _, err := os.Stat(filepath.Join(root, file)); err != nil {
				t.Errorf("%s links to %s, want a file that exists", name, file)
			} else if heading != "" && !slices.Contains(headings(read(t, file)), heading) {
				t.Errorf("%s links to %s#%s, want a heading that exists", name, file, heading)
			}
		}
	}
}

// headings returns the anchors of a page, as GitHub makes them.
func headings(page string) []string {
	var anchors []string
	for line := range strings.Lines(page) {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			title = regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
			anchors = append(anchors, strings.ReplaceAll(title, " ", "-"))
		}
	}
	return anchors
}

// pages returns the Markdown files of the repository.
func pages(t *testing.T) []string {
	t.Helper()
	return append(slices.DeleteFunc(textFiles(t), func(name string) bool { return path.Ext(name) != ".md" }), glossaryPage)
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
