package archtest_test

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
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
	for folder, faults := range textFaults(t) {
		if !slices.Contains(unclean(), folder) {
			t.Errorf("%s: got %d faults, want none:\n%s", folder, len(faults), strings.Join(faults, "\n"))
		}
	}
}

// TestUncleanFoldersShrink fails when a folder is clean but still listed.
func TestUncleanFoldersShrink(t *testing.T) {
	t.Parallel()
	found := textFaults(t)
	for _, folder := range unclean() {
		if _, err := os.Stat(filepath.Join(root, folder)); err == nil && len(found[folder]) == 0 {
			t.Errorf("%s is clean, want it off the list of unclean folders", folder)
		}
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

// textFaults returns the faults of all texts by folder.
func textFaults(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, glossaryPage))
	if err != nil {
		t.Fatal(err)
	}
	glossary := archtest.ReadGlossary(string(page))
	found := map[string][]string{}
	for _, name := range textFiles(t) {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		folder := path.Dir(name)
		for _, f := range glossary.Find(string(text)) {
			found[folder] = append(found[folder], fmt.Sprintf("%s:%d: %q, want %s", name, f.Line, f.Phrase, f.Use))
		}
		found[folder] = append(found[folder], sourceFaults(t, name, text)...)
	}
	for folder, faults := range found {
		if len(faults) == 0 {
			delete(found, folder)
		}
	}
	return found
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

// unclean lists the folders that are still being cleaned.
func unclean() []string {
	return []string{
		"internal/blobstore",
		"internal/blobstore/blobstoretest",
		"internal/config",
		"internal/deepimage",
		"internal/fetch",
		"internal/submit",
		"internal/telemetry",
		"internal/thumbnail",
	}
}
