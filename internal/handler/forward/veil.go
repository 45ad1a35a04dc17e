package forward

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// veil hides what a target must not repeat to people: what we know of it and its secrets.
type veil struct{ replacer *strings.Replacer }

const (
	// minCredential is the length from which on a credential is hidden, and minWord that of a part of an
	// address: what is shorter is found in any text.
	minCredential, minWord = 4, 8
	// maxShown is how much of an answer is shown, in bytes.
	maxShown = 1000
)

func newVeil(t target, config Config) veil {
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
	hidden := append(longer(credentials, minCredential), longer(words, minWord)...)
	slices.SortFunc(hidden, func(a, b string) int { return len(b) - len(a) }) // of two that begin alike the longer one
	var pairs []string
	for _, text := range hidden {
		pairs = append(pairs, text, event.Placeholder)
	}
	return veil{strings.NewReplacer(pairs...)}
}

// longer keeps the texts of at least so many bytes.
func longer(texts []string, bytes int) []string {
	return slices.DeleteFunc(texts, func(text string) bool { return len(text) < bytes })
}

// shown is the beginning of an answer, fit for people. What an escape in a JSON text hides is hidden once more.
func (v veil) shown(said []byte, redact func([]byte) ([]byte, error)) string {
	text := v.replacer.Replace(strings.ToValidUTF8(string(said), "\uFFFD"))
	if redacted, err := redact([]byte(text)); err == nil { // a JSON text, whole
		return oneLine(v.replacer.Replace(string(redacted)))
	}
	return oneLine(v.replacer.Replace(asText(oneLine(text), redact)))
}

// asText redacts what is no JSON text: as a string within one.
func asText(text string, redact func([]byte) ([]byte, error)) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		return ""
	}
	redacted, err := redact(quoted)
	if err != nil {
		return ""
	}
	var shown string
	_ = json.Unmarshal(redacted, &shown)
	return shown
}

// oneLine keeps a text short, and harmless to a terminal and to a log.
func oneLine(text string) string {
	words := strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
	text = strings.Join(words, " ")
	if len(text) <= maxShown {
		return text
	}
	return strings.ToValidUTF8(text[:maxShown], "") + "..."
}
