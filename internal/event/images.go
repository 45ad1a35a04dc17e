package event

import (
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxResults is the number of results that an event may have.
const MaxResults = 100

// Images returns the URLs of images: result_url first, then those in results in the order of the body, each URL once.
// A URL is absolute, http or https, with a host, and has at most MaxURLBytes; others, such as storage://, are
// ignored. White space around it and stray percent signs are allowed. Images returns at most MaxResults; omitted is the number of the others.
//
// The shape of results is not documented. A string is a URL. An object with a URL in its members result_url or url is
// one image; its other members describe it. Arrays, and objects without such a member, are lists of any of these.
func (e Event) Images() (images []Result, omitted int) {
	found := []Result{}
	if address, ok := addressOf(e.ResultURL); ok {
		found = append(found, Result{URL: address, Pointer: "/result_url"})
	}
	if len(e.Results) > 0 {
		search := search{found: found}
		_ = scan(e.Results, false, search.results) // Decode has checked results; otherwise the images before the error count
		found = search.found
	}
	found = unique(found)
	kept := min(len(found), MaxResults)
	return found[:kept], len(found) - kept
}

// search is the state of Images.
type search struct {
	*scanner
	found []Result
}

// results finds the URLs in results.
func (s *search) results(text *scanner) error {
	s.scanner = text
	return s.value()
}

// value finds the URLs in the next value.
func (s *search) value() error {
	switch s.kind() {
	case '{':
		return s.members()
	case '[':
		return s.array(s.value)
	case '"':
		return s.address()
	default:
		_, err := s.scalar()
		return err
	}
}

// members finds the URLs in an object: those of result_url and url if there are any, else those of all members.
func (s *search) members() error {
	before := len(s.found)
	var own []Result
	err := s.object(func(name jsontext.Value) error {
		mine := s.kind() == '"' && (isName(name, "result_url") || isName(name, "url"))
		last := len(s.found)
		err := s.value()
		if mine {
			own = append(own, s.found[last:]...)
		}
		return err
	})
	if len(own) > 0 {
		s.found = append(s.found[:before], own...)
	}
	return err
}

// address adds a string if it is a URL.
func (s *search) address() error {
	written, err := s.scalar()
	if err != nil || len(written) > maxWritten(MaxURLBytes) {
		return err
	}
	text, err := unquote(written)
	if address, ok := addressOf(text); err == nil && ok {
		pointer := "/results" + string(s.decoder.StackPointer())
		s.found = append(s.found, Result{URL: address, Pointer: pointer})
	}
	return err
}

// addressOf returns a text that is an absolute http or https URL with a host, without white space around it and with
// percent signs that encode nothing encoded.
func addressOf(text string) (string, bool) {
	text = strings.TrimSpace(text)
	if !isAddress(text) {
		text = encodePercent(text)
	}
	return text, isAddress(text)
}

// isAddress reports whether text is an absolute http or https URL with a host. The digest depends on it.
func isAddress(text string) bool {
	if text == "" || len(text) > MaxURLBytes {
		return false
	}
	address, err := url.Parse(text)
	return err == nil && (address.Scheme == "https" || address.Scheme == "http") && address.Hostname() != ""
}

// encodePercent encodes each percent sign that no two hexadecimal digits follow.
func encodePercent(text string) string {
	var encoded strings.Builder
	for i := range len(text) {
		encoded.WriteByte(text[i])
		if text[i] == '%' && (i+2 >= len(text) || !isHex(text[i+1]) || !isHex(text[i+2])) {
			encoded.WriteString("25")
		}
	}
	return encoded.String()
}

func isHex(c byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", c) >= 0 }

// unique returns the first result of each URL.
func unique(results []Result) []Result {
	seen := make(map[string]struct{}, len(results))
	kept := results[:0]
	for _, result := range results {
		if _, repeated := seen[result.URL]; !repeated {
			seen[result.URL] = struct{}{}
			kept = append(kept, result)
		}
	}
	return kept
}
