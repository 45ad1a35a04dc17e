// Package sanitize makes text from outside safe to log and to show, and checks text that must be plain.
package sanitize

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const ellipsis = "…"

// Clip returns text, or its beginning with an ellipsis: at most limit bytes in all, cut between characters.
func Clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	end := max(limit-len(ellipsis), 0)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + ellipsis
}

// Line returns text as one line of at most limit bytes: a blank for each run of white space, and no characters
// that are invisible, control a terminal or are not valid UTF-8.
func Line(text string, limit int) string {
	return Clip(strings.Join(strings.Fields(strings.Map(visible, text)), " "), limit)
}

func visible(r rune) rune {
	switch {
	case unicode.IsSpace(r):
		return ' '
	case !unicode.IsPrint(r) || r == utf8.RuneError:
		return -1
	default:
		return r
	}
}

// IsPlainASCII reports whether text has only visible ASCII characters, without blanks.
func IsPlainASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}
