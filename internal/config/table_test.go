package config_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/config"
)

func row(t *testing.T, name string) config.Variable {
	t.Helper()
	for _, v := range config.Table(definitions()) {
		if v.Name == name {
			return v
		}
	}
	t.Fatalf("no variable %s", name)
	return config.Variable{}
}

// Everything that the program can be told has a name of its own, a meaning and, if it is a number, bounds.
func TestTableIsComplete(t *testing.T) {
	environment(t, nil)
	var names []string
	for _, v := range config.Table(definitions()) {
		if slices.Contains(names, v.Name) {
			t.Errorf("%s is there twice", v.Name)
		}
		names = append(names, v.Name)
		if v.Meaning == "" {
			t.Errorf("%s has no meaning", v.Name)
		}
		if v.Default != "" && v.Unset != "" {
			t.Errorf("%s has both a default and a word on what is done without one", v.Name)
		}
		isNumber := strings.ContainsAny(v.Default[:min(1, len(v.Default))], "0123456789") && !strings.Contains(v.Default, ":")
		if isNumber && v.Range == "" {
			t.Errorf("%s is a number without bounds", v.Name)
		}
	}
	for _, name := range []string{"RECEIVER_DATA_DIR", "RECEIVER_LISTEN_ADDR", "RECEIVER_LOG_LEVEL", "RECEIVER_ARCHIVE_KEY"} {
		if !slices.Contains(names, name) {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestTableTellsWhereAValueComesFrom(t *testing.T) {
	environment(t, map[string]string{
		"RECEIVER_DATA_DIR":            "/srv/data",
		"RECEIVER_ARCHIVE_KEY":         "hunter2",
		"RECEIVER_WEBHOOK_TOKENS_FILE": "/run/secrets/hunter2",
		"RECEIVER_PUBLIC_URL":          "https://me:hunter2@example.com",
		"PORT":                         "9000",
	})
	rows := []struct {
		name   string
		value  string
		source config.Source
	}{
		{"RECEIVER_DATA_DIR", "/srv/data", config.SourceSet},
		{"RECEIVER_ARCHIVE_KEY", "[redacted]", config.SourceSet},
		{"RECEIVER_WEBHOOK_TOKENS", "[redacted]", config.SourceFile},
		{"RECEIVER_PUBLIC_URL", "https://me:xxxxx@example.com", config.SourceSet},
		{"RECEIVER_LISTEN_ADDR", ":9000", config.SourcePort},
		{"RECEIVER_LOG_LEVEL", "info", config.SourceDefault},
		{"RECEIVER_DATABASE_URL", "", config.SourceNone},
	}
	for _, want := range rows {
		if got := row(t, want.name); got.Value != want.value || got.Source != want.source {
			t.Errorf("%s is %q from %s, want %q from %s", want.name, got.Value, got.Source, want.value, want.source)
		}
	}
}

func TestTableDescribes(t *testing.T) {
	environment(t, nil)
	mode := row(t, "RECEIVER_ARCHIVE_MODE")
	if mode.Default != "move" || mode.Range != "copy, move or link" || mode.Meaning != "mode" || mode.Secret {
		t.Errorf("got %+v", mode)
	}
	if timeout := row(t, "RECEIVER_SHUTDOWN_TIMEOUT"); timeout.Range != "1s to 1h" {
		t.Errorf("got %+v", timeout)
	}
	if tokens := row(t, "RECEIVER_WEBHOOK_TOKENS"); !tokens.Secret || tokens.Unset == "" {
		t.Errorf("got %+v", tokens)
	}
}

func TestMarkdownHoldsNothingOfTheEnvironment(t *testing.T) {
	environment(t, nil)
	want := config.Markdown(config.Table(definitions()))
	environment(t, map[string]string{"RECEIVER_DATA_DIR": "/srv/hunter2", "RECEIVER_ARCHIVE_KEY": "hunter2", "PORT": "1"})
	got := config.Markdown(config.Table(definitions()))
	if got != want {
		t.Errorf("the manual depends on the environment:\n%s", got)
	}
	for line := range strings.SplitSeq(strings.TrimSpace(got), "\n") {
		if cells := strings.Count(line, "|") - strings.Count(line, `\|`); cells != 5 {
			t.Errorf("line has %d cells: %s", cells-1, line)
		}
	}
	for _, part := range []string{
		"| `RECEIVER_DATA_DIR` | `./data` |", "`RECEIVER_WEBHOOK_TOKENS` or `RECEIVER_WEBHOOK_TOKENS_FILE`", `a "quoted" \| folder`,
	} {
		if !strings.Contains(got, part) {
			t.Errorf("the manual has no %q", part)
		}
	}
}
