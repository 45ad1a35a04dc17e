package event

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Placeholder stands where something was that is nobody's business.
const Placeholder = "[redacted]"

// How much of a string is shown, in bytes of UTF-8.
const (
	maxShownBytes = 1024 // a longer string is shortened
	keptBytes     = 128  // of it are shown
	windowBytes   = 4096 // at its beginning are searched for secrets before that
)

// maxNested is how deep JSON texts within strings are read as such.
const maxNested = 2

// Redact copies a JSON text, such as the body of a callback, so that it is fit to be
// shown or stored beside an image. The copy is compact and keeps the order of names.
//
//   - Every value below a name like webhooks becomes Placeholder: a callback's data
//     echoes the address it was sent to, and the token in it.
//   - So does the whole value of a name that says secret, such as api_key or password.
//   - In every string, also within longer texts and percent-encoded: the rest behind
//     /webhooks/deep-image/, user names and passwords of URLs, and the values of
//     parameters whose name says secret, such as token or X-Amz-Signature.
//   - Strings longer than 1 KiB, such as inline images, are shortened and say their length.
//
// Numbers stay as they are written. A text that Decode refuses as malformed is refused
// with the same error.
func Redact(body []byte) ([]byte, error) { return redactJSON(body, 0) }

func redactJSON(text []byte, nested int) ([]byte, error) {
	var copied bytes.Buffer
	r := redaction{encoder: jsontext.NewEncoder(&copied), nested: nested}
	if err := scan(text, r.document); err != nil {
		return nil, err
	}
	return bytes.TrimRight(copied.Bytes(), "\n"), nil
}

// redaction is one text on its way into the copy.
type redaction struct {
	*scanner
	encoder *jsontext.Encoder
	nested  int // how many strings the text is in
	renamed int // numbers the names that had to be changed
}

func (r *redaction) document(s *scanner) error {
	r.scanner = s
	return r.value()
}

// value copies the next value.
func (r *redaction) value() error {
	switch r.kind() {
	case '{':
		return r.members(r.value)
	case '[':
		return r.elements(r.value)
	case '"':
		written, err := r.scalar()
		if err != nil {
			return err
		}
		return r.write(jsontext.String(r.shown(written)))
	default:
		written, err := r.scalar()
		if err != nil {
			return err
		}
		return r.encoder.WriteValue(written)
	}
}

// hidden copies the next value with its arrays and objects, and nothing of what is in them.
func (r *redaction) hidden() error {
	switch r.kind() {
	case '{':
		return r.members(r.hidden)
	case '[':
		return r.elements(r.hidden)
	default:
		return r.dropped()
	}
}

// dropped puts Placeholder for the whole of the next value.
func (r *redaction) dropped() error {
	if _, err := r.scanner.value(); err != nil {
		return err
	}
	return r.write(jsontext.String(Placeholder))
}

// members copies an object. Values are copied by value, unless their name asks for more care.
func (r *redaction) members(value func() error) error {
	if err := r.write(jsontext.BeginObject); err != nil {
		return err
	}
	err := r.object(func(written jsontext.Value) error {
		name, err := unquote(written)
		if err != nil {
			return err
		}
		if err := r.name(name, r.shown(written)); err != nil {
			return err
		}
		switch {
		case isSecretName(name):
			return r.dropped()
		case isWebhookName(name):
			return r.hidden()
		default:
			return value()
		}
	})
	if err != nil {
		return err
	}
	return r.write(jsontext.EndObject)
}

// name copies the name of a member. One that had to be changed is numbered, since two
// such names of one object may have become the same; so is one that equals such a name.
func (r *redaction) name(name, shown string) error {
	candidate := shown
	if shown != name {
		candidate = r.numbered(shown)
	}
	for {
		err := r.write(jsontext.String(candidate))
		if !errors.Is(err, jsontext.ErrDuplicateName) {
			return err
		}
		candidate = r.numbered(shown)
	}
}

func (r *redaction) numbered(name string) string {
	r.renamed++
	return fmt.Sprintf("%s #%d", name, r.renamed)
}

// elements copies an array.
func (r *redaction) elements(value func() error) error {
	if err := r.write(jsontext.BeginArray); err != nil {
		return err
	}
	if err := r.array(value); err != nil {
		return err
	}
	return r.write(jsontext.EndArray)
}

func (r *redaction) write(token jsontext.Token) error { return r.encoder.WriteToken(token) }

// shown is what is shown of a string.
func (r *redaction) shown(written jsontext.Value) string {
	text, whole := beginning(written)
	if isContainerText(text) {
		text, whole = r.shownJSON(text, whole)
	} else {
		text = redactText(text)
	}
	if whole && len(text) <= maxShownBytes {
		return text
	}
	return fmt.Sprintf("%s... [%d bytes]", clip(text, keptBytes), len(written)-len(`""`))
}

// shownJSON is what is shown of a string that looks like a JSON text: data has been
// such a string. Nothing of it is shown where its names cannot be told from its values.
func (r *redaction) shownJSON(text string, whole bool) (shown string, all bool) {
	if !whole || r.nested == maxNested {
		return "", false
	}
	copied, err := redactJSON([]byte(text), r.nested+1)
	switch {
	case err == nil:
		return string(copied), true
	case indexFold(text, "webhook") >= 0:
		return "", false
	default:
		return redactText(text), true
	}
}

// beginning gives at most windowBytes of a string, and whether that is the whole of it.
func beginning(written jsontext.Value) (text string, whole bool) {
	end := len(written) - len(`"`)
	if end <= windowBytes {
		text, err := unquote(written)
		return text, err == nil
	}
	const longestEscape = 12 // two halves of a surrogate pair
	for end = windowBytes; end > windowBytes-longestEscape; end-- {
		text, err := unquote(append(written[:end:end], '"'))
		if err == nil {
			return text, false
		}
	}
	return "", false
}

// clip cuts text to at most length bytes, between two characters.
func clip(text string, length int) string {
	if len(text) <= length {
		return text
	}
	for length > 0 && !utf8.RuneStart(text[length]) {
		length--
	}
	return text[:length]
}

// isContainerText tells whether text looks like an object or an array.
func isContainerText(text string) bool {
	text = strings.TrimLeft(text, whiteSpace)
	return text != "" && isContainer(jsontext.Kind(text[0]))
}
