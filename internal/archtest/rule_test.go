package archtest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/archtest"
)

// The module in testdata/planted breaks a rule in each of these ways: a checker
// that no longer sees one of them must not pass.
func TestCheckFindsWhatIsPlanted(t *testing.T) {
	t.Parallel()
	planted := load(t, "testdata/planted")
	everything := []string{"./..."}
	tests := []struct {
		name string
		rule archtest.Rule
		want []string
	}{
		{
			"an import outside an allow-list, also in a file for another system",
			archtest.Rule{Of: []string{"./internal/event"}, Forbid: []string{"..."}, Allow: []string{"encoding/..."}},
			[]string{
				"./internal/event/event.go imports ./internal/telemetry",
				"./internal/event/event_windows.go imports net/http/cgi",
			},
		},
		{
			"std allows the standard library only",
			archtest.Rule{Of: []string{"./internal/event"}, Forbid: []string{"..."}, Allow: []string{"std"}},
			[]string{"./internal/event/event.go imports ./internal/telemetry"},
		},
		{
			"a direct rule does not look further",
			archtest.Rule{Of: []string{"./internal/webhook"}, Forbid: []string{"./internal/inbox"}},
			nil,
		},
		{
			"a deep rule does",
			archtest.Rule{Of: []string{"./internal/webhook"}, Forbid: []string{"./internal/inbox"}, Deep: true},
			[]string{"./internal/webhook reaches it: ./internal/middle/middle.go imports ./internal/inbox"},
		},
		{
			"a sibling under one folder",
			archtest.Rule{Of: []string{"./internal/handler/..."}, Forbid: []string{"./internal/handler/..."}},
			[]string{"./internal/handler/publish/publish.go imports ./internal/handler/download"},
		},
		{
			"a fence with a package inside",
			archtest.Rule{Of: everything, Except: []string{"./internal/middle"}, Forbid: []string{"./internal/inbox"}},
			nil,
		},
		{
			"a fence with a file inside",
			archtest.Rule{Of: everything, Forbid: []string{"expvar"}, NotIn: "metrics.go"},
			[]string{"./internal/telemetry/other.go imports expvar"},
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
				t.Errorf("broken:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

func TestLinkedSeesWhatIsPlanted(t *testing.T) {
	t.Parallel()
	linked, err := archtest.Linked(t.Context(), "testdata/planted", "./internal/handler/publish")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"testing", "example.org/planted/internal/handler/download"} {
		if !slices.Contains(linked, want) {
			t.Errorf("%s is not among the packages that are linked", want)
		}
	}
}

func TestLoadTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := archtest.Load(t.Context(), "testdata/planted", "./internal/nowhere")
	if err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("error is %v, want one that names the package", err)
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
