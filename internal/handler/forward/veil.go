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
	// minHidden is the length from which on a part of an address is hidden: a shorter one is a word.
	minHidden = 8
	// maxShown is how much of an answer is shown, in bytes.
	maxShown = 1000
)

func newVeil(t target, config Config) veil {
	hidden := []string{t.address.String(), t.address.RequestURI(), config.BearerToken.Reveal()}
	for _, item := range config.Headers {
		_, value, _ := strings.Cut(item.Reveal(), ":")
		hidden = append(hidden, strings.TrimSpace(value))
	}
	for _, item := range config.Secrets {
		hidden = append(hidden, item.Reveal())
	}
	hidden = append(hidden, strings.Split(t.address.Path, "/")...)
	for _, values := range t.address.Query() {
		hidden = append(hidden, values...)
	}
	slices.SortFunc(hidden, func(a, b string) int { return len(b) - len(a) }) // of two that begin alike the longer one
	var pairs []string
	for _, text := range hidden {
		if len(text) >= minHidden {
			pairs = append(pairs, text, event.Placeholder)
		}
	}
	return veil{strings.NewReplacer(pairs...)}
}

// shown is the beginning of an answer, fit for people.
func (v veil) shown(said []byte, redact func([]byte) ([]byte, error)) string {
	text := strings.ToValidUTF8(string(said), "\uFFFD")
	text = v.replacer.Replace(text)
	if redacted, err := redact([]byte(text)); err == nil { // a JSON text, whole
		return oneLine(string(redacted))
	}
	return oneLine(asText(oneLine(text), redact))
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
