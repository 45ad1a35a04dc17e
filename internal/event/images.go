package event

import (
	"net/url"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxResults bounds the results that one event is taken to have.
const MaxResults = 100

// Images lists every address under which the event offers an image: result_url
// first, then those in results in the order of the body, each address once. An
// address is an absolute http or https URL with a host, of at most MaxURLBytes;
// anything else, such as storage://, is none. At most MaxResults are listed, and
// omitted is how many more there were.
//
// The shape of results is documented nowhere. A string is an address. An object with
// an address in its members result_url or url is one image, described by its other
// members. Arrays, and objects without such a member, are lists of any of these.
func (e Event) Images() (images []Result, omitted int) {
	found := []Result{}
	if isAddress(e.ResultURL) {
		found = append(found, Result{URL: e.ResultURL, Pointer: "/result_url"})
	}
	if len(e.Results) > 0 {
		search := search{found: found}
		_ = scan(e.Results, true, search.results) // Decode has read them before; of what is not JSON the beginning counts
		found = search.found
	}
	found = unique(found)
	kept := min(len(found), MaxResults)
	return found[:kept], len(found) - kept
}

// search is the walk through results.
type search struct {
	*scanner
	found []Result
}

// results takes the addresses in the whole of results.
func (s *search) results(text *scanner) error {
	s.scanner = text
	return s.value()
}

// value takes the addresses in the next value.
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

// members takes the addresses in an object: its own if it has any, else those of all its members.
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

// address takes a string if it is an address.
func (s *search) address() error {
	written, err := s.scalar()
	if err != nil || len(written) > 6*MaxURLBytes+len(`""`) { // a character is escaped by six at most
		return err
	}
	text, err := unquote(written)
	if err == nil && isAddress(text) {
		pointer := "/results" + string(s.decoder.StackPointer())
		s.found = append(s.found, Result{URL: text, Pointer: pointer})
	}
	return err
}

// isAddress tells whether text is an absolute http or https URL with a host.
func isAddress(text string) bool {
	if text == "" || len(text) > MaxURLBytes {
		return false
	}
	address, err := url.Parse(text)
	return err == nil && (address.Scheme == "https" || address.Scheme == "http") && address.Hostname() != ""
}

// unique keeps the first result of each address.
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
