package event

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Placeholder replaces redacted values.
const Placeholder = "[redacted]"

// Lengths of shown strings, in bytes of UTF-8.
const (
	maxShownBytes = 1024 // a longer string is shortened
	keptBytes     = 128  // beginning of a shortened string
	windowBytes   = 4096 // beginning of a shortened string that is searched for secrets
)

// maxNested is the number of levels of JSON texts within strings that are redacted as JSON.
const maxNested = 2

// maxRedactedBytes is the length of the longest copy. It fits every request of Deep Image, whose long strings are shortened.
const maxRedactedBytes = 1 << 20

// errOmitted reports a copy that would be too long.
var errOmitted = errors.New("event: the redacted copy is too long")

// Redact returns a copy of a JSON text, such as the body of a callback, without secrets. The copy is compact and keeps
// the order of names.
//
//   - Every value below a name like webhooks becomes Placeholder: the data of a callback
//     contains the URL of the callback, with its token.
//   - The whole value of a secret name, such as api_key or password, becomes Placeholder.
//   - In every string, also within longer texts and percent-encoded: the rest behind
//     WebhookPath, user names and passwords of URLs, and the values of
//     parameters with secret names, such as token or X-Amz-Signature.
//   - Strings longer than 1 KiB, such as inline images, are shortened and followed by their length.
//
// Numbers stay as they are written. What Decode tolerates in data becomes valid JSON: replacement characters,
// strings in place of other literals, numbered names in place of duplicates. In place of a copy of more than 1 MiB, Redact
// returns a string with the length of the text. It fails with a *MalformedError if the grammar of the text is not that of JSON.
func Redact(body []byte) ([]byte, error) {
	redacted, err := redactJSON(body, 0)
	if errors.Is(err, errOmitted) {
		return fmt.Appendf(nil, `"[omitted: %d bytes]"`, len(body)), nil
	}
	return redacted, err
}

func redactJSON(text []byte, nested int) ([]byte, error) {
	redacted, err := redactStrict(text, nested)
	if err == nil || errors.Is(err, errOmitted) {
		return redacted, err
	}
	repaired, repairErr := repair(text)
	if errors.Is(repairErr, errOmitted) {
		return nil, repairErr
	}
	if repairErr != nil {
		return nil, err
	}
	return redactStrict(repaired, nested)
}

// redactStrict is redactJSON for a text that is JSON but for duplicate names.
func redactStrict(text []byte, nested int) ([]byte, error) {
	var copied bytes.Buffer
	r := redaction{encoder: jsontext.NewEncoder(&copied, jsontext.AllowDuplicateNames(!checksNames(text))), nested: nested}
	if err := scan(text, false, r.document); err != nil {
		return nil, err
	}
	return bytes.TrimRight(copied.Bytes(), "\n"), nil
}

// redaction is the state of redactStrict.
type redaction struct {
	*scanner
	encoder *jsontext.Encoder
	nested  int // number of strings around the text
	renamed int // number of changed names
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
		if len(written) > maxRedactedBytes { // a number
			return errOmitted
		}
		return r.encoder.WriteValue(written)
	}
}

// hidden copies the brackets and names of the next value, with Placeholder for every scalar.
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

// dropped replaces the next value by Placeholder.
func (r *redaction) dropped() error {
	if _, err := r.scanner.value(); err != nil {
		return err
	}
	return r.write(jsontext.String(Placeholder))
}

// members copies an object. It copies values with value, unless their name is secret.
func (r *redaction) members(value func() error) error {
	if err := r.write(jsontext.BeginObject); err != nil {
		return err
	}
	err := r.object(func(written jsontext.Value) error {
		name, _ := beginning(written)
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

// name copies the name of a member. A changed name and a duplicate get a number, so that names stay unique.
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

func (r *redaction) write(token jsontext.Token) error {
	if r.encoder.OutputOffset() > maxRedactedBytes {
		return errOmitted
	}
	return r.encoder.WriteToken(token)
}

// shown returns the redacted text of a string.
func (r *redaction) shown(written jsontext.Value) string {
	text, whole := beginning(written)
	if isJSONText(text) {
		text, whole = r.shownJSON(text, whole)
	} else {
		text = redactText(text)
	}
	if whole && len(text) <= maxShownBytes {
		return text
	}
	return fmt.Sprintf("%s... [%d bytes]", clip(text, keptBytes), len(written)-len(`""`))
}

// shownJSON redacts a string that looks like a JSON text, as data may be. It returns "" if names and values cannot be
// distinguished.
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

// beginning returns at most windowBytes of a string, and whether that is all of it.
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

// clip returns at most length bytes of text, cut between characters.
func clip(text string, length int) string {
	if len(text) <= length {
		return text
	}
	for length > 0 && !utf8.RuneStart(text[length]) {
		length--
	}
	return text[:length]
}

// isJSONText reports whether text looks like an object, an array or a string in JSON.
func isJSONText(text string) bool {
	text = strings.TrimLeft(text, whiteSpace)
	return text != "" && (isContainer(jsontext.Kind(text[0])) || text[0] == '"')
}
