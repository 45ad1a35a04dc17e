package event

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits of the members of a callback.
const (
	MaxJobBytes = 256      // length of job in UTF-8
	MaxURLBytes = 8 * 1024 // length of result_url, and of every other result URL, in UTF-8
)

// Decode reads the body of a callback. It sets every field of the event but ID, Received, Source, Origin,
// Token, Artifacts and Reference. Body, Data and Results share the memory of body, which must not be changed afterwards.
//
// Decode is strict about job, result_url and results. In data and unknown members it accepts any bytes in strings,
// words such as NaN, duplicate names and any depth, and a byte order mark before the body. Their grammar may be broken if their
// brackets and quotation marks show where they end. It lists all that in Event.Defects.
//
// Decode fails with a *MalformedError if body is not JSON or a strict member cannot be read without doubt: it
// occurs twice, has a duplicate name, invalid UTF-8 or an unpaired surrogate, or exceeds MaxDepth or MaxTokens.
// It fails with an *InvalidError, which lists every fault, if body is not a callback.
//
// The memory that Decode takes does not grow with body.
func Decode(body []byte) (Event, error) {
	d := &decoding{event: Event{Body: body}}
	err := scan(body, len(body) <= maxCheckedBytes && checksNames(body), d.document)
	if strict, ok := errors.AsType[*MalformedError](err); ok {
		d = &decoding{event: Event{Body: body}}
		err = d.lenient(strict)
	}
	if err != nil {
		return Event{}, err
	}
	if len(d.faults) > 0 {
		return Event{}, &InvalidError{Faults: d.faults}
	}
	d.event.setDigests(d.tree)
	d.event.Input = InputOf(d.event.Data)
	return d.event, nil
}

// decoding is the state of Decode.
type decoding struct {
	event                         Event
	hasJob, hasResult, hasResults bool
	tree                          tree // of results
	faults                        []Fault
}

// document reads a body that is JSON throughout.
func (d *decoding) document(s *scanner) error {
	if s.kind() != '{' {
		if _, err := s.value(); err != nil {
			return err
		}
		d.fault("", FaultType, "must be an object")
		return nil
	}
	err := s.object(func(name jsontext.Value) error {
		at := s.decoder.InputOffset() - int64(len(name))
		value, err := s.value()
		if err != nil {
			return err
		}
		return d.member(name, value, at, s.decoder.InputOffset()-int64(len(value)))
	})
	if err != nil {
		return err
	}
	d.checkJob()
	return nil
}

// lenient reads a body that has the defect strict, and perhaps more.
func (d *decoding) lenient(strict *MalformedError) error {
	l := newLexer(d.event.Body)
	err := l.members(func(name, value []byte, at int) error {
		return d.member(name, value, int64(at), int64(l.pos-len(value)))
	})
	if err != nil {
		if len(l.defects) == 0 && errors.Is(err, errLexer) { // nothing was tolerated before: strict is about the same place
			return strict
		}
		return err
	}
	d.checkJob()
	d.event.Defects = l.withDefect(strict.Defect)
	return nil
}

// member reads a member of the outermost object. name starts at byte at, value at byte start. Unknown members stay in Body.
func (d *decoding) member(name, value jsontext.Value, at, start int64) error {
	switch {
	case isName(name, "job"):
		if d.hasJob {
			return malformedAt(DefectDuplicateName, at, "/job")
		}
		d.hasJob = true
		return inMember(d.job(value), "/job", start)
	case isName(name, "result_url"):
		if d.hasResult {
			return malformedAt(DefectDuplicateName, at, "/result_url")
		}
		d.hasResult = true
		return inMember(d.resultURL(value), "/result_url", start)
	case isName(name, "results"):
		if d.hasResults {
			return malformedAt(DefectDuplicateName, at, "/results")
		}
		d.hasResults = true
		return inMember(d.results(value), "/results", start)
	case isName(name, "data"):
		d.event.Data = []byte(value)
	}
	return nil
}

// inMember changes the place of a MalformedError in a value to its place in the body.
func inMember(err error, pointer string, start int64) error {
	if malformed, ok := errors.AsType[*MalformedError](err); ok {
		return malformedAt(malformed.Kind, start+malformed.Offset, jsontext.Pointer(pointer+malformed.Pointer))
	}
	return err
}

// job reads the job id: any string within the limits.
func (d *decoding) job(value jsontext.Value) error {
	if value.Kind() != '"' {
		d.fault("/job", FaultType, "must be a string")
		return scan(value, true, skipValue)
	}
	job, err := d.shortText(value, MaxJobBytes, "/job")
	if err != nil {
		return err
	}
	if len(job) == 0 {
		d.fault("/job", FaultEmpty, "must not be empty")
	}
	if strings.IndexFunc(job, unicode.IsControl) >= 0 { // they garble logs and screens
		d.fault("/job", FaultControl, "must not contain control characters")
	}
	d.event.Job = job
	return nil
}

// resultURL reads the result URL, of any scheme; null means none.
func (d *decoding) resultURL(value jsontext.Value) error {
	switch value.Kind() {
	case 'n':
		return scan(value, true, skipValue)
	case '"':
	default:
		d.fault("/result_url", FaultType, "must be a string or null")
		return scan(value, true, skipValue)
	}
	address, err := d.shortText(value, MaxURLBytes, "/result_url")
	if err != nil {
		return err
	}
	d.event.ResultURL = address
	return nil
}

// shortText returns the text of a string that may have maxBytes, or the beginning of a much longer one, which is not copied.
func (d *decoding) shortText(value jsontext.Value, maxBytes int, pointer string) (text string, err error) {
	if len(value) <= maxWritten(maxBytes) {
		if text, err = unquote(value); err != nil || len(text) <= maxBytes {
			return text, err
		}
	} else {
		if kind, at, _ := stringDefect(value[1:len(value)-1], 0); kind != "" {
			return "", malformedAt(kind, int64(1+at), "")
		}
		text, _ = beginning(value)
	}
	d.fault(pointer, FaultTooLong, fmt.Sprintf("must be at most %d bytes", maxBytes))
	return text, nil
}

// results reads the results; null means none. They have at most MaxTokens tokens, because their digest sorts names.
func (d *decoding) results(value jsontext.Value) error {
	checked := len(value) <= maxPooledBytes // the names of a longer text are compared without a copy
	found := tree{text: value}
	err := scan(value, checked, func(s *scanner) (err error) {
		s.limit, s.outer = MaxTokens, 1
		found.root, err = s.tree()
		return err
	})
	if err != nil || value.Kind() == 'n' {
		return err
	}
	if at, repeated := found.sortNames(found.root); repeated {
		return malformedAt(DefectDuplicateName, at, "")
	}
	d.event.Results, d.tree = []byte(value), found
	return nil
}

func (d *decoding) checkJob() {
	if !d.hasJob {
		d.fault("/job", FaultMissing, "is missing")
	}
}

func (d *decoding) fault(pointer string, kind FaultKind, detail string) {
	d.faults = append(d.faults, Fault{Pointer: pointer, Detail: detail, Kind: kind})
}

// maxCheckedNames bounds the names of a text in which duplicates are found, because the search keeps them in memory.
const maxCheckedNames = 2048

// maxCheckedBytes bounds the length of a body in which duplicates are found.
const maxCheckedBytes = 256 << 10

// checksNames reports whether text has few enough names to search for duplicates.
func checksNames(text []byte) bool { return bytes.Count(text, []byte{':'}) <= maxCheckedNames }
