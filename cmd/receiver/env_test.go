package main_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"unicode"
)

// envRow is a variable as "env --json" describes it.
type envRow struct {
	Name, Default, Unset, Range, Meaning, Value, Source string
	Secret                                              bool
}

func envTable(t *testing.T, env ...string) map[string]envRow {
	t.Helper()
	var rows []envRow
	if err := json.Unmarshal([]byte(run(t, env, "env", "--json").expect(t, 0).stdout), &rows); err != nil {
		t.Fatal(err)
	}
	table := map[string]envRow{}
	for _, row := range rows {
		if _, twice := table[row.Name]; twice {
			t.Errorf("%s is listed twice, want it once", row.Name)
		}
		table[row.Name] = row
	}
	return table
}

func TestEnvDescribesEveryVariable(t *testing.T) {
	t.Parallel()
	table := envTable(t)
	for _, name := range []string{"DATA_DIR", "LISTEN_ADDR", "WEBHOOK_MAX_BODY_BYTES", "DOWNLOAD_BUCKET_URL", "DOWNLOAD_KEY_TEMPLATE", "FETCH_ALLOWED_HOSTS"} {
		if _, ok := table["RECEIVER_"+name]; !ok {
			t.Errorf("RECEIVER_%s is not listed, want it listed", name)
		}
	}
	for name, row := range table {
		if row.Meaning == "" {
			t.Errorf("meaning of %s is empty, want a text", name)
		}
		isNumber := row.Default != "" && unicode.IsDigit(rune(row.Default[0])) && !strings.Contains(row.Default, ":")
		if isNumber && row.Range == "" {
			t.Errorf("range of %s is empty, want one: it is a number", name)
		}
		if row.Source != "default" && row.Source != "none" {
			t.Errorf("source of %s = %s, want default or none", name, row.Source)
		}
	}
}

func TestEnvShowsValuesAndRedactsSecrets(t *testing.T) {
	t.Parallel()
	env := []string{"RECEIVER_WEBHOOK_TOKENS=hunter2-hunter2-hunter2", "RECEIVER_LOG_LEVEL=debug", "PORT=9000"}
	table := envTable(t, env...)
	rows := map[string][2]string{
		"RECEIVER_WEBHOOK_TOKENS": {"[redacted]", "set"},
		"RECEIVER_LOG_LEVEL":      {"debug", "set"},
		"RECEIVER_LOG_FORMAT":     {"auto", "default"},
		"RECEIVER_LISTEN_ADDR":    {":9000", "PORT"},
	}
	for name, want := range rows {
		if got := table[name]; got.Value != want[0] || got.Source != want[1] {
			t.Errorf("%s = %q from %s, want %q from %s", name, got.Value, got.Source, want[0], want[1])
		}
	}
	text := run(t, env, "env").expect(t, 0).stdout
	contains(t, "env", text, "[redacted]  (set)", "debug  (set)", ":9000  (from PORT)", "default info")
	for _, form := range []string{"--json", "--markdown"} {
		text += run(t, env, "env", form).expect(t, 0).stdout
	}
	if strings.Contains(text, "hunter2") {
		t.Error("output holds a secret, want it redacted")
	}
}

func TestEnvEscapesControls(t *testing.T) {
	t.Parallel()
	r := run(t, []string{"RECEIVER_LOG_LEVEL=\x1b[2J", "RECEIVER_\x1b[2J=1"}, "env").expect(t, 2)
	if strings.Contains(r.stdout+r.stderr, "\x1b") {
		t.Errorf("output = %q %q, want no escape character", r.stdout, r.stderr)
	}
}

// The manual has the table of variables between two markers.
func TestManualHasTable(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile("README.md")
	if errors.Is(err, fs.ErrNotExist) {
		return // an unpacked program without its manual; archtest looks for the file
	}
	if err != nil {
		t.Fatal(err)
	}
	_, rest, begins := strings.Cut(string(manual), "<!-- env:begin -->")
	table, _, ends := strings.Cut(rest, "<!-- env:end -->")
	if !begins || !ends {
		t.Fatal("README.md lacks markers, want <!-- env:begin --> and <!-- env:end -->")
	}
	want := run(t, []string{"RECEIVER_LOG_LEVEL=debug"}, "env", "--markdown").expect(t, 0).stdout
	if strings.TrimSpace(table) != strings.TrimSpace(want) {
		t.Errorf("README.md is outdated, want the output of \"receiver env --markdown\" between the markers:\n%s", want)
	}
}
