package archtest_test

import (
	"bufio"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/archtest"
)

// root is the top of the repository.
const root = "../.."

func TestImportRules(t *testing.T) {
	t.Parallel()
	for _, sentence := range archtest.Check(load(t, root), archtest.Rules()) {
		t.Error(sentence)
	}
}

// A rule about a package that was renamed would always pass.
func TestRulesNamePackagesThatExist(t *testing.T) {
	t.Parallel()
	packages := load(t, root)
	for _, rule := range archtest.Rules() {
		for _, pattern := range slices.Concat(rule.Of, rule.Except, rule.Forbid, rule.Allow) {
			tree := strings.TrimSuffix(pattern, "/...")
			if strings.HasPrefix(pattern, "./") && !slices.ContainsFunc(packages, func(p archtest.Package) bool {
				return p.Path == pattern || tree != pattern && strings.HasPrefix(p.Path+"/", tree+"/")
			}) {
				t.Errorf("rule %q names %s, want a package that exists", rule.Says, pattern)
			}
		}
	}
}

func TestPackagesHaveNamesAndComments(t *testing.T) {
	t.Parallel()
	vague := []string{"util", "utils", "common", "models", "pkg", "helpers", "misc", "shared", "base"}
	for _, p := range load(t, root) {
		name := path.Base(p.Path)
		if slices.Contains(vague, name) {
			t.Errorf("package name %s is vague, want a name that says what is in it", p.Path)
		}
		opening := "Package " + name + " "
		if strings.HasPrefix(p.Path, "./cmd/") {
			opening = "Command " + name + " "
		}
		if !strings.HasPrefix(p.Doc, opening) {
			t.Errorf("%s: package comment = %q, want a sentence that starts with %q", p.Path, p.Doc, opening)
		}
	}
}

func TestBinaryLinksNoTestCode(t *testing.T) {
	t.Parallel()
	linked, err := archtest.Linked(t.Context(), root, "./cmd/receiver")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(linked, "net/http") {
		t.Error("net/http is not linked, want the packages of the receiver")
	}
	for _, importPath := range linked {
		foreign := strings.Contains(importPath, ".") && strings.HasSuffix(importPath, "test")
		if foreign || importPath == "testing" || strings.HasPrefix(importPath, "testing/") || strings.HasSuffix(importPath, "/httptest") ||
			strings.HasSuffix(importPath, "/testkit") || strings.HasSuffix(importPath, "/faultfs") {
			t.Errorf("the receiver links %s, want no test code", importPath)
		}
	}
}

func TestMapHasOneLineForEachPackage(t *testing.T) {
	t.Parallel()
	mapped := mapLines(t)
	packages := load(t, root)
	for _, p := range packages {
		if count := mapped[mapName(p.Path)]; count != 1 {
			t.Errorf("internal/README.md has %d lines for %s, want one that starts with | `%s` |", count, p.Path, mapName(p.Path))
		}
		delete(mapped, mapName(p.Path))
	}
	for name := range mapped {
		t.Errorf("internal/README.md has a line for %s, want packages only", name)
	}
}

func mapName(packagePath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(packagePath, "./"), "internal/")
}

// mapLines counts the table rows of internal/README.md by the package in their first column.
func mapLines(t *testing.T) map[string]int {
	t.Helper()
	file, err := os.Open("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	line := regexp.MustCompile("^\\| `([^`]+)` \\| \\S")
	found := map[string]int{}
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		if name := line.FindStringSubmatch(scanner.Text()); name != nil {
			found[name[1]]++
		}
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

// TestTopLevelIsFixed keeps the first page that a visitor sees short.
func TestTopLevelIsFixed(t *testing.T) {
	t.Parallel()
	want := []string{"Dockerfile", "LICENSE", "Makefile", "README.md", "api", "cmd", "go.mod", "go.sum", "internal"}
	may := []string{"deploy"}
	ignored, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasPrefix(name, ".") && !slices.Contains(may, name) && !matchesLine(t, string(ignored), name) {
			got = append(got, name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("top level = %v, want %v", got, want)
	}
}

func matchesLine(t *testing.T, patterns, name string) bool {
	t.Helper()
	return slices.ContainsFunc(strings.Fields(patterns), func(pattern string) bool {
		matched, err := path.Match(strings.Trim(pattern, "/"), name)
		if err != nil {
			t.Fatal(err)
		}
		return matched
	})
}
