package handler

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/sanitize"
)

// excerptCharacters is how many characters of a text answer are shown.
const excerptCharacters = 200

// excerpt returns the start of a text that a host sent instead of an image, in quotation marks: one line of visible
// characters without secrets. A host may echo the URL of the request.
func excerpt(head []byte) string {
	text := withoutSecrets(string(head))
	if redacted, err := event.Redact(head); err == nil {
		text = string(redacted)
	}
	line := []rune(sanitize.Line(text, len(text)))
	if len(line) > excerptCharacters {
		line = append(line[:excerptCharacters], '…')
	}
	return strconv.Quote(string(line))
}

// withoutSecrets returns a text without the parts of its URLs that may be secret, without queries, and without the values
// of names such as token and signature.
func withoutSecrets(text string) string {
	text = strings.ReplaceAll(text, `\/`, "/")
	text = regexp.MustCompile(`(?i)[a-z][a-z0-9+.-]*://[^\s"'<>]+`).ReplaceAllStringFunc(text, event.RedactURL)
	text = regexp.MustCompile(`(?i)(`+event.WebhookPath+`/)[^\s"'<>]+`).ReplaceAllString(text, "${1}"+event.Placeholder)
	text = regexp.MustCompile(`\?[^\s"'<>]*=[^\s"'<>]*`).ReplaceAllString(text, "?"+event.Placeholder)
	names := `(?i)([\w-]*(?:token|key|signature|secret|password|credential|authorization)[\w-]*["']?\s*[:=>]\s*["']?(?:bearer |basic )?)[^\s"'<>&,]+`
	return regexp.MustCompile(names).ReplaceAllString(text, "${1}"+event.Placeholder)
}
