package main

import (
	"bytes"
	"encoding/json"
	"testing"
)

// TestCSVCell is fault D9: no cell is a formula for a spreadsheet, whatever its separator.
func TestCSVCell(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, cell, want string }{
		{name: "text", cell: "photo 1.png", want: "photo 1.png"},
		{name: "formula", cell: "=1+1", want: "'=1+1"},
		{name: "formula after blanks", cell: "  @SUM(A1)", want: "'  @SUM(A1)"},
		{name: "formula after a no-break space", cell: "\u00a0=1", want: `\u00a0=1`},
		{name: "formula after a zero-width space", cell: "\u200b=1", want: `\u200b=1`},
		{name: "formula after a semicolon", cell: "a;=1", want: "a;'=1"},
		{name: "formula after a semicolon and a blank", cell: "a; -1", want: "a;' -1"},
		{name: "formula after a comma", cell: "a,+1", want: "a,'+1"},
		{name: "formula after a tab", cell: "a\t=1", want: `a\t=1`},
		{name: "formula after a line feed", cell: "a\n=1", want: `a\n=1`},
		{name: "formula in quotes", cell: `;"=1"`, want: `;"'=1"`},
		{name: "full-width formula", cell: "＝1", want: "'＝1"},
		{name: "hyphen in a word", cell: "a-b", want: "a-b"},
		{name: "escape sequence", cell: "\x1b[31m", want: `\x1b[31m`},
		{name: "text direction", cell: "a\u202egnp.exe", want: `a\u202egnp.exe`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := csvCell(row.cell); got != row.want {
				t.Errorf("csvCell(%q) = %q, want %q", row.cell, got, row.want)
			}
		})
	}
}

// The body of a rejected callback is anything: a file gets it byte for byte, and a terminal without control characters.
func TestRejectionsBodyOutput(t *testing.T) {
	t.Parallel()
	const body = "job=\xff\x1b[2J\ufffd\r\n"
	for _, row := range []struct {
		name     string
		terminal bool
		want     string
	}{
		{name: "file", want: body},
		{name: "terminal", terminal: true, want: `job=\xff\x1b[2J` + "\ufffd" + `\r` + "\n\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if err := printBody(&out, []byte(body), row.terminal); err != nil || out.String() != row.want {
				t.Errorf("printed %q, error %v, want %q", out.String(), err, row.want)
			}
		})
	}
}

// TestOutputEscapesControls is fault D12: what a server sends cannot command the terminal.
func TestOutputEscapesControls(t *testing.T) {
	t.Parallel()
	const hostile = "a\x1b[2J\u009b1m\u202eb\U000e0041c\n"
	t.Run("text", func(t *testing.T) {
		t.Parallel()
		var out bytes.Buffer
		const want = `a\x1b[2J\u009b1m\u202eb\U000e0041c` + "\n"
		if err := printResult(&out, hostile); err != nil || out.String() != want {
			t.Errorf("printed %q, error %v, want %q", out.String(), err, want)
		}
	})
	t.Run("JSON", func(t *testing.T) {
		t.Parallel()
		var out bytes.Buffer
		const want = `"a\u001b[2J\u009b1m\u202eb\udb40\udc41c\n"` + "\n"
		if err := printJSON(&out, hostile); err != nil || out.String() != want {
			t.Errorf("printed %q, error %v, want %q", out.String(), err, want)
		}
		var got string
		if err := json.Unmarshal(out.Bytes(), &got); err != nil || got != hostile {
			t.Errorf("decoded %q, error %v, want %q", got, err, hostile)
		}
	})
}
