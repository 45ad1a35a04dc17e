package event

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
)

// Bounds of what an event may say.
const (
	MaxJobBytes = 256      // length of job in UTF-8
	MaxURLBytes = 8 * 1024 // length of result_url, and of any other address of a result, in UTF-8
)

// Decode reads the body of a callback in one pass. Everything in the event but
// ID, Received and Artifacts comes from it; Body, Data and Results share the
// memory of body, which must not be changed afterwards.
//
// Decode fails with a *MalformedError if body is not exactly one JSON value in UTF-8
// without a byte order mark, has a duplicate name in an object, an unpaired surrogate,
// or exceeds MaxDepth or MaxTokens. It fails with an *InvalidError, which lists every
// fault, if body is JSON but not a callback.
func Decode(body []byte) (Event, error) {
	d := decoding{event: Event{Body: body}}
	if err := scan(body, d.document); err != nil {
		return Event{}, err
	}
	if len(d.faults) > 0 {
		return Event{}, &InvalidError{Faults: d.faults}
	}
	digest, err := digestOf(d.event.ResultURL, d.event.Results)
	if err != nil {
		return Event{}, err
	}
	d.event.Digest = digest
	return d.event, nil
}

// decoding is one body on its way to an event.
type decoding struct {
	*scanner
	event  Event
	hasJob bool
	faults []Fault
}

// document reads the whole body.
func (d *decoding) document(s *scanner) error {
	d.scanner = s
	if d.kind() != '{' {
		if _, err := d.value(); err != nil {
			return err
		}
		d.fault("", FaultType, "must be an object")
		return nil
	}
	if err := d.object(d.member); err != nil {
		return err
	}
	if !d.hasJob {
		d.fault("/job", FaultMissing, "is missing")
	}
	return nil
}

// member reads one member of the outermost object. Names are told apart by case;
// unknown ones stay in Body.
func (d *decoding) member(name jsontext.Value) error {
	value, err := d.value()
	if err != nil {
		return err
	}
	switch {
	case isName(name, "job"):
		return d.job(value)
	case isName(name, "result_url"):
		return d.resultURL(value)
	case isName(name, "results") && value.Kind() != 'n':
		d.event.Results = []byte(value)
	case isName(name, "data"):
		d.event.Data = []byte(value)
	}
	return nil
}

// job takes the identity of the job; any string within the bounds will do.
func (d *decoding) job(value jsontext.Value) error {
	d.hasJob = true
	if value.Kind() != '"' {
		d.fault("/job", FaultType, "must be a string")
		return nil
	}
	job, err := unquote(value)
	if err != nil {
		return err
	}
	if len(job) == 0 {
		d.fault("/job", FaultEmpty, "must not be empty")
	}
	if len(job) > MaxJobBytes {
		d.fault("/job", FaultTooLong, fmt.Sprintf("must be at most %d bytes", MaxJobBytes))
	}
	if strings.IndexFunc(job, unicode.IsControl) >= 0 { // they garble logs and screens
		d.fault("/job", FaultControl, "must not contain control characters")
	}
	d.event.Job = job
	return nil
}

// resultURL takes the address of the result, of any scheme; null means none.
func (d *decoding) resultURL(value jsontext.Value) error {
	switch value.Kind() {
	case 'n':
		return nil
	case '"':
	default:
		d.fault("/result_url", FaultType, "must be a string or null")
		return nil
	}
	address, err := unquote(value)
	if err != nil {
		return err
	}
	if len(address) > MaxURLBytes {
		d.fault("/result_url", FaultTooLong, fmt.Sprintf("must be at most %d bytes", MaxURLBytes))
	}
	d.event.ResultURL = address
	return nil
}

func (d *decoding) fault(pointer string, kind FaultKind, detail string) {
	d.faults = append(d.faults, Fault{Pointer: pointer, Detail: detail, Kind: kind})
}
