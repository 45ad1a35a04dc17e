package archtest_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/archtest"
)

// plantModule writes a module that breaks a rule in every way, and returns its folder.
func plantModule(t *testing.T) string {
	t.Helper()
	const module = "example.org/planted"
	imports := map[string][]string{ // of each file
		"event/event.go":               {"encoding/json", module + "/internal/telemetry"},
		"event/event_windows.go":       {"net/http/cgi"},
		"event/event_test.go":          {module + "/internal/inbox"},
		"handler/download/download.go": nil,
		"handler/publish/publish.go":   {"testing", module + "/internal/handler/download"},
		"inbox/inbox.go":               nil,
		"middle/middle.go":             {module + "/internal/inbox"},
		"telemetry/metrics.go":         {"expvar"},
		"telemetry/other.go":           {"expvar"},
		"webhook/webhook.go":           {module + "/internal/middle"},
	}
	folder := t.TempDir()
	write(t, filepath.Join(folder, "go.mod"), "module "+module+"\n\ngo 1.26\n")
	for name, paths := range imports {
		file := filepath.Join(folder, "internal", name)
		text := "package " + filepath.Base(filepath.Dir(file)) + "\n"
		for _, importPath := range paths {
			text += "import _ " + strconv.Quote(importPath) + "\n"
		}
		write(t, file, text)
	}
	return folder
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCheckFindsPlantedImports(t *testing.T) {
	t.Parallel()
	planted := load(t, plantModule(t))
	everything := []string{"./..."}
	tests := []struct {
		name string
		rule archtest.Rule
		want []string
	}{
		{
			name: "an import outside an allow-list, also in a file for another system",
			rule: archtest.Rule{Of: []string{"./internal/event"}, Forbid: []string{"..."}, Allow: []string{"encoding/..."}},
			want: []string{
				"./internal/event/event.go imports ./internal/telemetry",
				"./internal/event/event_windows.go imports net/http/cgi",
			},
		},
		{
			name: "std allows the standard library only",
			rule: archtest.Rule{Of: []string{"./internal/event"}, Forbid: []string{"..."}, Allow: []string{"std"}},
			want: []string{"./internal/event/event.go imports ./internal/telemetry"},
		},
		{
			name: "a direct rule ignores transitive imports",
			rule: archtest.Rule{Of: []string{"./internal/webhook"}, Forbid: []string{"./internal/inbox"}},
			want: nil,
		},
		{
			name: "a deep rule finds transitive imports",
			rule: archtest.Rule{Of: []string{"./internal/webhook"}, Forbid: []string{"./internal/inbox"}, Deep: true},
			want: []string{"./internal/webhook reaches it: ./internal/middle/middle.go imports ./internal/inbox"},
		},
		{
			name: "a sibling under one folder",
			rule: archtest.Rule{Of: []string{"./internal/handler/..."}, Forbid: []string{"./internal/handler/..."}},
			want: []string{"./internal/handler/publish/publish.go imports ./internal/handler/download"},
		},
		{
			name: "a library with one user",
			rule: archtest.Rule{Of: everything, Except: []string{"./internal/middle"}, Forbid: []string{"./internal/inbox"}},
			want: nil,
		},
		{
			name: "a second file with imports that one file may have",
			rule: archtest.Rule{Of: everything, Forbid: []string{"expvar"}, OneFile: true},
			want: []string{"./internal/telemetry/other.go imports expvar"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.rule.Says = "planted"
			var want []string
			for _, sentence := range test.want {
				want = append(want, sentence+": planted")
			}
			if got := archtest.Check(planted, []archtest.Rule{test.rule}); !slices.Equal(got, want) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

func TestLinkedListsTransitivePackages(t *testing.T) {
	t.Parallel()
	linked, err := archtest.Linked(t.Context(), plantModule(t), "./internal/handler/publish")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"testing", "example.org/planted/internal/handler/download"} {
		if !slices.Contains(linked, want) {
			t.Errorf("linked packages lack %s, want it among %d", want, len(linked))
		}
	}
}

func TestLoadNamesTheMissingPackage(t *testing.T) {
	t.Parallel()
	_, err := archtest.Load(t.Context(), plantModule(t), "./internal/nowhere")
	if err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("error = %v, want one that names the package", err)
	}
}

func load(t *testing.T, dir string) []archtest.Package {
	t.Helper()
	packages, err := archtest.Load(t.Context(), dir, "./...")
	if err != nil {
		t.Fatal(err)
	}
	return packages
}
