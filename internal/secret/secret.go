// Package secret holds values that must never be shown: they print, log and
// marshal as a placeholder. Only Reveal returns the value.
package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Placeholder is the printed form of every secret.
const Placeholder = "[redacted]"

// Value is one secret.
type Value struct{ text string }

// New returns text as a secret.
func New(text string) Value { return Value{text} }

// Reveal returns the secret. The caller must not print, log or store it.
func (v Value) Reveal() string { return v.text }

// IsZero reports whether the secret is empty.
func (v Value) IsZero() bool { return v.text == "" }

// Decode reads the secret from a configuration variable.
func (v *Value) Decode(text string) error {
	v.text = strings.TrimSpace(text)
	return nil
}

// Format prints the placeholder whatever the verb.
func (v Value) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Placeholder)) }

// MarshalText returns the placeholder.
func (v Value) MarshalText() ([]byte, error) { return []byte(Placeholder), nil }

// List is several secrets of equal rank, for rotation.
type List []Value

// Decode reads a list with commas or line ends between the items; spaces around
// an item are dropped, an empty item is refused.
func (l *List) Decode(text string) error {
	var list List
	for item := range strings.SplitSeq(strings.ReplaceAll(text, "\n", ","), ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			return errors.New("has an empty item")
		}
		list = append(list, New(item))
	}
	*l = list
	return nil
}

// DecodeItems reads a list whose items may contain commas. Of several lines each is an item. In a single line a comma separates only
// where start, which begins with ^, matches what follows it, and an item that ends in a comma is refused: the next one is empty.
func (l *List) DecodeItems(text string, start *regexp.Regexp) error {
	items := strings.Split(strings.TrimRight(text, " \t\r\n"), "\n")
	single := len(items) == 1
	if single {
		items = splitItems(items[0], start)
	}
	var list List
	for _, item := range items {
		if item = strings.TrimSpace(item); item == "" || single && strings.HasSuffix(item, ",") {
			return errors.New("has an empty item")
		}
		list = append(list, New(item))
	}
	*l = list
	return nil
}

func splitItems(line string, start *regexp.Regexp) (items []string) {
	begin := 0
	for i := range len(line) {
		if line[i] != ',' {
			continue
		}
		if start.MatchString(strings.TrimLeft(line[i+1:], " \t")) {
			items, begin = append(items, line[begin:i]), i+1
		}
	}
	return append(items, line[begin:])
}

// Match reports whether presented is one of the list. It takes the same time
// whatever is presented and wherever it matches. The empty text matches nothing,
// also when a list that was not read from a variable holds it.
func (l List) Match(presented string) bool {
	if presented == "" {
		return false
	}
	want := sha256.Sum256([]byte(presented))
	found := 0
	for _, v := range l {
		have := sha256.Sum256([]byte(v.text))
		found |= subtle.ConstantTimeCompare(want[:], have[:])
	}
	return found == 1
}
