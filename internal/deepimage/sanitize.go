package deepimage

import (
	"strings"

	"github.com/deepimage-receiver/receiver/internal/sanitize"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// Bounds of the vendor's texts that are shown, in bytes.
const (
	maxMessage = 300
	maxStatus  = 40
	maxWord    = 64
)

// sanitize returns a text of the vendor as one line of at most limit bytes that is safe to show. It redacts the key,
// because the API can repeat it, and all URLs and paths, because the vendor quotes requests with the webhook's token.
func (c *Client) sanitize(text string, limit int) string {
	visible := strings.ReplaceAll(sanitize.Line(text, len(text)), c.key.Reveal(), secret.Placeholder)
	var words []string
	for word := range strings.FieldsSeq(visible) {
		if strings.Contains(word, "://") || strings.Count(word, "/") > 1 {
			word = "[address]"
		}
		words = append(words, sanitize.Clip(word, maxWord))
	}
	return sanitize.Clip(strings.Join(words, " "), limit)
}
