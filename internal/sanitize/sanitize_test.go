package sanitize_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/deepimage-receiver/receiver/internal/sanitize"
)

func TestClip(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, text, want string
		limit            int
	}{
		{name: "empty", text: "", limit: 5, want: ""},
		{name: "exact", text: "12345", limit: 5, want: "12345"},
		{name: "longer", text: "123456", limit: 5, want: "12…"},
		{name: "between characters", text: "ééééé", limit: 6, want: "é…"},
		{name: "no space", text: "123456", limit: 2, want: "…"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := sanitize.Clip(row.text, row.limit); got != row.want {
				t.Errorf("Clip(%q, %d) = %q, want %q", row.text, row.limit, got, row.want)
			}
		})
	}
}

func TestLine(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, text, want string }{
		{name: "empty", text: "", want: ""},
		{name: "white space", text: " two \n\t words\u2028", want: "two words"},
		{name: "terminal and bidirectional control", text: "a\x1b[2Jb\u202e\u0000c", want: "a[2Jbc"},
		{name: "invalid UTF-8", text: "a\xffb", want: "ab"},
		{name: "letters of any script", text: "Grüße 画像", want: "Grüße 画像"},
		{name: "long", text: strings.Repeat("x", 100), want: strings.Repeat("x", 27) + "…"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := sanitize.Line(row.text, 30); got != row.want {
				t.Errorf("Line(%q, 30) = %q, want %q", row.text, got, row.want)
			}
		})
	}
}

func TestIsPlainASCII(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"": true, "a-Z~!": true, "a b": false, "a\n": false, "ü": false, "a\x7f": false} {
		if got := sanitize.IsPlainASCII(text); got != want {
			t.Errorf("IsPlainASCII(%q) = %t, want %t", text, got, want)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add("é\x00\xff \u202e", 4)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = max(3, min(limit, 1<<10))
		if got := sanitize.Line(text, limit); len(got) > limit || !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n\x1b") {
			t.Errorf("Line(%q, %d) = %q, want one valid line within the limit", text, limit, got)
		}
	})
}
