package deepimage

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/deepimage-receiver/receiver/internal/secret"
)

// How much of the vendor's own words is shown, in bytes.
const (
	maxMessage = 300
	maxStatus  = 40
	maxWord    = 64
)

// words makes a text of the vendor fit to be shown and logged: one line without invisible
// characters, not longer than most bytes. The key is taken out, since an API can repeat it, and so are addresses
// and paths, since a request that the vendor quotes holds the webhook's token.
func (c *Client) words(said string, most int) string {
	visible := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r) || r == utf8.RuneError:
			return -1
		default:
			return r
		}
	}, said)
	visible = strings.ReplaceAll(visible, c.key.Reveal(), secret.Placeholder)
	var shown []string
	for word := range strings.FieldsSeq(visible) {
		if strings.Contains(word, "://") || strings.Count(word, "/") > 1 {
			word = "[address]"
		}
		shown = append(shown, clip(word, maxWord))
	}
	return clip(strings.Join(shown, " "), most)
}

// clip cuts text to most bytes at most, between two characters.
func clip(text string, most int) string {
	const mark = "…"
	if len(text) <= most {
		return text
	}
	end := most - len(mark)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + mark
}
