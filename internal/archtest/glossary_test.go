package archtest_test

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/archtest"
	"github.com/google/go-cmp/cmp"
)

// glossaryPage defines the forbidden words.
const glossaryPage = ".github/CONTRIBUTING.md"

// TestGlossaryRules finds forbidden words and log messages of the wrong shape.
func TestGlossaryRules(t *testing.T) {
	t.Parallel()
	for _, fault := range textFaults(t) {
		t.Error(fault)
	}
}

func TestGlossaryFindsPhrases(t *testing.T) {
	t.Parallel()
	glossary := archtest.ReadGlossary("| use | for | instead of |\n| endpoint | x | `door`, gate, `in vain` |\n")
	const text = "indoor doors\nbackDoor HTTPDoor_x a gate\n// tried in\n// vain. In. Vain"
	want := []archtest.Finding{
		{Line: 2, Phrase: "door", Use: "endpoint"},
		{Line: 2, Phrase: "door", Use: "endpoint"},
		{Line: 3, Phrase: "in vain", Use: "endpoint"},
	}
	if diff := cmp.Diff(want, glossary.Find(text)); diff != "" {
		t.Errorf("findings differ (-want +got):\n%s", diff)
	}
}

func TestCheckSourceFindsFaults(t *testing.T) {
	t.Parallel()
	const source = `package x

import "github.com/rs/zerolog"

func f(l zerolog.Logger, name string) {
	l.Info().Msg("step finished")
	l.Info().Msg("Step finished")
	l.Info().Msg("step finished.")
	l.Info().Msg("step " + name)
	l.Info().Msgf("step %s", name)
	_, is := m[name]
}
`
	want := []string{
		`x.go:7: log message "Step finished", want a lower case letter first`,
		`x.go:8: log message "step finished.", want no full stop at its end`,
		"x.go:9: log message is not a literal, want a constant message and fields",
		"x.go:10: log message with Msgf, want a constant message and fields",
		"x.go:11: variable is, want ok",
	}
	got, err := archtest.CheckSource("x.go", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("faults differ (-want +got):\n%s", diff)
	}
}

// textFaults returns the faults of all texts.
func textFaults(t *testing.T) []string {
	t.Helper()
	glossary := archtest.ReadGlossary(read(t, glossaryPage))
	var faults []string
	for _, name := range textFiles(t) {
		text := read(t, name)
		for _, f := range glossary.Find(text) {
			faults = append(faults, fmt.Sprintf("%s:%d: %q, want %s", name, f.Line, f.Phrase, f.Use))
		}
		faults = append(faults, sourceFaults(t, name, []byte(text))...)
	}
	return faults
}

// sourceFaults leaves out package telemetry, whose bridges log the messages of libraries.
func sourceFaults(t *testing.T, name string, text []byte) []string {
	t.Helper()
	if path.Ext(name) != ".go" || strings.HasPrefix(name, "internal/telemetry/") {
		return nil
	}
	faults, err := archtest.CheckSource(name, text)
	if err != nil {
		t.Fatal(err)
	}
	return faults
}

// textFiles returns the files that people read, relative to the root: code, pages,
// specification, documentation and deployment.
func textFiles(t *testing.T) []string {
	t.Helper()
	kinds := []string{".go", ".html", ".md", ".yaml", ".yml", ".sh", ".css", ".js", ""}
	skipped := []string{".git", "node_modules", "bin", "data", "dist", "testdata"}
	var names []string
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains(skipped, entry.Name()):
			return fs.SkipDir
		case entry.IsDir(), name == glossaryPage, name == ".git", strings.HasPrefix(name, "internal/archtest/glossary"):
		case strings.Contains(name, ".min."), !slices.Contains(kinds, path.Ext(name)):
		default:
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
