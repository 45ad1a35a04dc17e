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
	t.Fatalf("variables lack %s, want it", name)
	return config.Variable{}
}

// Every variable has a unique name, a meaning and, if it is a number, bounds.
func TestTableIsComplete(t *testing.T) {
	environment(t, nil)
	var names []string
	for _, v := range config.Table(definitions()) {
		if slices.Contains(names, v.Name) {
			t.Errorf("%s is there twice, want once", v.Name)
		}
		names = append(names, v.Name)
		if v.Meaning == "" {
			t.Errorf("%s has no meaning, want one", v.Name)
		}
		if v.Default != "" && v.Unset != "" {
			t.Errorf("%s has the default %q and unset %q, want only one", v.Name, v.Default, v.Unset)
		}
		isNumber := strings.ContainsAny(v.Default[:min(1, len(v.Default))], "0123456789") && !strings.Contains(v.Default, ":")
		if isNumber && v.Range == "" {
			t.Errorf("%s has no bounds, want a range", v.Name)
		}
	}
	for _, name := range []string{"RECEIVER_DATA_DIR", "RECEIVER_LISTEN_ADDR", "RECEIVER_LOG_LEVEL", "RECEIVER_ARCHIVE_KEY"} {
		if !slices.Contains(names, name) {
			t.Errorf("%s is missing, want it in %v", name, names)
		}
	}
}

func TestTableHasSources(t *testing.T) {
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
		{name: "RECEIVER_DATA_DIR", value: "/srv/data", source: config.SourceSet},
		{name: "RECEIVER_ARCHIVE_KEY", value: "[redacted]", source: config.SourceSet},
		{name: "RECEIVER_WEBHOOK_TOKENS", value: "[redacted]", source: config.SourceFile},
		{name: "RECEIVER_PUBLIC_URL", value: "https://me:xxxxx@example.com", source: config.SourceSet},
		{name: "RECEIVER_LISTEN_ADDR", value: ":9000", source: config.SourcePort},
		{name: "RECEIVER_LOG_LEVEL", value: "info", source: config.SourceDefault},
		{name: "RECEIVER_DATABASE_URL", value: "", source: config.SourceNone},
	}
	for _, want := range rows {
		if got := row(t, want.name); got.Value != want.value || got.Source != want.source {
			t.Errorf("%s = %q from %s, want %q from %s", want.name, got.Value, got.Source, want.value, want.source)
		}
	}
}

func TestTableDescribes(t *testing.T) {
	environment(t, nil)
	mode := row(t, "RECEIVER_ARCHIVE_MODE")
	if mode.Default != "move" || mode.Range != "copy, move or link" || mode.Meaning != "mode" || mode.Secret {
		t.Errorf("mode = %+v, want its default, range and meaning", mode)
	}
	if timeout := row(t, "RECEIVER_SHUTDOWN_TIMEOUT"); timeout.Range != "1s to 1h" {
		t.Errorf("range = %q, want %q", timeout.Range, "1s to 1h")
	}
	if tokens := row(t, "RECEIVER_WEBHOOK_TOKENS"); !tokens.Secret || tokens.Unset == "" {
		t.Errorf("tokens = %+v, want a secret with a meaning when unset", tokens)
	}
}

func TestMarkdownDoesNotDependOnTheEnvironment(t *testing.T) {
	environment(t, nil)
	want := config.Markdown(config.Table(definitions()))
	environment(t, map[string]string{"RECEIVER_DATA_DIR": "/srv/hunter2", "RECEIVER_ARCHIVE_KEY": "hunter2", "PORT": "1"})
	got := config.Markdown(config.Table(definitions()))
	if got != want {
		t.Errorf("Markdown() = %s, want it independent of the environment:\n%s", got, want)
	}
	_, rows, _ := strings.Cut(got, "\n\n") // after the sentence above the table
	for line := range strings.SplitSeq(strings.TrimSpace(rows), "\n") {
		if cells := strings.Count(line, "|") - strings.Count(line, `\|`); cells != 5 {
			t.Errorf("cells = %d, want 4: %s", cells-1, line)
		}
	}
	for _, part := range []string{
		"| `RECEIVER_DATA_DIR` | `./data` |", "`RECEIVER_WEBHOOK_TOKENS` or `RECEIVER_WEBHOOK_TOKENS_FILE`", `a "quoted" \| folder`,
	} {
		if !strings.Contains(got, part) {
			t.Errorf("Markdown() = %s, want %q in it", got, part)
		}
	}
}
