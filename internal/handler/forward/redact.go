package forward

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/sanitize"
)

// redactor makes responses of a target fit to be shown: it hides what the receiver knows as secret about the target.
type redactor struct {
	replacer *strings.Replacer
	redact   func(body []byte) ([]byte, error)
}

const (
	minCredentialBytes = 4 // shorter texts occur in any response
	minWordBytes       = 8 // of a part of the URL
	maxTextBytes       = 1000
)

func newRedactor(t target, config Config, redact func([]byte) ([]byte, error)) redactor {
	credentials := []string{config.BearerToken.Reveal()}
	for _, item := range config.Headers {
		_, value, _ := strings.Cut(item.Reveal(), ":")
		credentials = append(credentials, strings.TrimSpace(value))
	}
	for _, item := range config.Secrets {
		credentials = append(credentials, item.Reveal())
	}
	words := append([]string{t.address.String(), t.address.RequestURI()}, strings.Split(t.address.Path, "/")...)
	for _, values := range t.address.Query() {
		words = append(words, values...)
	}
	hidden := append(atLeast(credentials, minCredentialBytes), atLeast(words, minWordBytes)...)
	slices.SortFunc(hidden, func(a, b string) int { return len(b) - len(a) }) // the replacer prefers the first match
	var pairs []string
	for _, text := range hidden {
		pairs = append(pairs, text, event.Placeholder)
	}
	return redactor{replacer: strings.NewReplacer(pairs...), redact: redact}
}

// atLeast returns the texts with at least this number of bytes.
func atLeast(texts []string, bytes int) []string {
	return slices.DeleteFunc(texts, func(text string) bool { return len(text) < bytes })
}

// text returns the start of a response on one line, without secrets. Secrets are replaced before and after the JSON
// redaction, because escapes in JSON can hide them.
func (r redactor) text(content []byte) string {
	text := r.replacer.Replace(strings.ToValidUTF8(string(content), "\uFFFD"))
	if redacted, err := r.redact([]byte(text)); err == nil { // the whole response is JSON
		return sanitize.Line(r.replacer.Replace(string(redacted)), maxTextBytes)
	}
	return sanitize.Line(r.replacer.Replace(r.plainText(sanitize.Line(text, maxTextBytes))), maxTextBytes)
}

// plainText redacts a text that is not JSON, as a JSON string.
func (r redactor) plainText(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		return ""
	}
	redacted, err := r.redact(quoted)
	if err != nil {
		return ""
	}
	var plain string
	_ = json.Unmarshal(redacted, &plain)
	return plain
}
