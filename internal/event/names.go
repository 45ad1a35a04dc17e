package event

import (
	"cmp"
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits of names.
const (
	MaxNameBytes = 200 // length of an input or a reference in UTF-8
	maxWords     = 32  // of the names of an event
	maxWordBytes = 64
)

// Parameters of the callback's URL with names of the event.
const (
	ReferenceParameter = "reference"
	InputParameter     = "input" // of an image that was sent in the request, so that it has no URL
)

// Names are what people call an event. Both are as CleanName returns them, and "" if they are unknown. They never change: a repeat
// of the event with other names is a duplicate, and the first names stay.
type Names struct {
	Input     string `json:"input,omitempty"`     // file name of the image that the job processes
	Reference string `json:"reference,omitempty"` // the customer's own name, such as a SKU
}

// Fields returns the names that are known, for a log line: name and value in turn.
func (n Names) Fields() []any {
	var fields []any
	if n.Reference != "" {
		fields = append(fields, "reference", n.Reference)
	}
	if n.Input != "" {
		fields = append(fields, "input", n.Input)
	}
	return fields
}

// CleanName returns text as a name: valid UTF-8 in one line without invisible characters, of at most MaxNameBytes bytes. Other
// characters are dropped, white space becomes blanks, and a longer text is cut.
func CleanName(text string) string {
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r) || r == utf8.RuneError:
			return -1
		default:
			return r
		}
	}, text))
	if len(text) <= MaxNameBytes {
		return text
	}
	end := MaxNameBytes
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return strings.TrimSpace(text[:end])
}

// InputOf returns the file name of the image that a request to Deep Image names by its URL, in the JSON of the request. It is "" if the
// image is in the request itself, or has no name. The memory that it takes does not grow with the request.
func InputOf(request []byte) string {
	var address string
	errFound := errors.New("found")
	_ = newLexer(request).members(func(name, value []byte, _ int) error { // a defect leaves the input unknown
		if !isName(name, "url") {
			return nil
		}
		if jsontext.Value(value).Kind() == '"' && len(value) <= maxWritten(MaxURLBytes) {
			address, _ = unquote(value)
		}
		return errFound
	})
	return FileName(address)
}

// FileName returns the last part of the path of a URL or of a file as a name, decoded; "" if it has none.
func FileName(address string) string {
	if strings.HasPrefix(address, "base64,") || strings.HasPrefix(address, "data:") {
		return ""
	}
	if at := strings.Index(address, "://"); at >= 0 {
		_, path, _ := strings.Cut(address[at+len("://"):], "/")
		if end := strings.IndexAny(path, "?#"); end >= 0 {
			path = path[:end]
		}
		if decoded, err := url.PathUnescape(path); err == nil {
			path = decoded
		}
		address = path
	}
	name := CleanName(address[strings.LastIndexAny(address, `/\`)+1:])
	if strings.Trim(name, ".") == "" {
		return ""
	}
	return name
}

// Words returns the distinct words of the names for a search, in order. See Words.
func (n Names) Words() []string { return Words(n.Reference + " " + n.Input) }

// Words returns the distinct words of a text in lower case, in order: runs of letters and digits. It returns at most 32, each cut to 64
// bytes.
func Words(text string) []string {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	})
	words = words[:min(len(words), maxWords)]
	for n, word := range words {
		end := min(len(word), maxWordBytes)
		for end < len(word) && !utf8.RuneStart(word[end]) {
			end--
		}
		words[n] = word[:end]
	}
	slices.SortFunc(words, cmp.Compare[string])
	return slices.Compact(words)
}
