package download

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// defaultTemplate is used for the zero Template.
const defaultTemplate = "{date}/{job}/{name}"

// Template is the pattern of an image's key: text and fields in braces, in segments between slashes. For any job and URL
// the key is a relative path whose segments are safe on every common file system.
type Template struct{ segments [][]part }

// part is a piece of a segment: a field, or text if field is "".
type part struct {
	field field
	text  string
}

// field is a placeholder.
type field string

const (
	fieldDate  field = "date"  // day of receipt, UTC, 2006-01-02
	fieldYear  field = "year"  // its parts
	fieldMonth field = "month" // 01 to 12
	fieldDay   field = "day"   // 01 to 31
	fieldJob   field = "job"   // the vendor's job id, made safe
	fieldEvent field = "event" // our id of the event
	fieldName  field = "name"  // last segment of the URL, made safe, with the extension of the content
	// The names of the event, made safe; the job where there is none.
	fieldInput     field = "input" // without the extension of an image
	fieldReference field = "reference"

	fieldIndex field = "index" // position among the event's results, from 1
	fieldExt   field = "ext"   // extension of the content, without a dot
)

// The bounds of a template and of its keys. They leave space for the marks of collisions within the 255 bytes of a file
// name.
const (
	maxTemplateBytes = 256
	maxSegmentBytes  = 225
	maxPathBytes     = 800
)

// longest returns the maximum length of a field in bytes, and 0 for an unknown field.
func (f field) longest() int {
	switch f {
	case fieldDate:
		return len("2006-01-02")
	case fieldJob, fieldInput, fieldReference:
		return maxJobBytes
	case fieldEvent:
		return maxEventBytes
	case fieldName:
		return maxNameBytes
	case fieldIndex, fieldYear, fieldMonth, fieldDay, fieldExt:
		return maxShortBytes
	default:
		return 0
	}
}

// Decode parses a template. The text of the error follows the name of the variable.
func (t *Template) Decode(text string) error {
	if text == "" || len(text) > maxTemplateBytes {
		return fmt.Errorf("is not a template of 1 to %d bytes", maxTemplateBytes)
	}
	var segments [][]part
	total := 0
	for written := range strings.SplitSeq(text, "/") {
		segment, longest, err := parseSegment(written)
		if err != nil {
			return err
		}
		segments = append(segments, segment)
		total += longest + 1
	}
	if total > maxPathBytes {
		return fmt.Errorf("can grow to %d bytes, more than %d", total, maxPathBytes)
	}
	if err := checkFields(segments); err != nil {
		return err
	}
	t.segments = segments
	return nil
}

func parseSegment(written string) (segment []part, longest int, err error) {
	if written == "" {
		return nil, 0, errors.New("has an empty part: a slash at its beginning or end, or two in a row")
	}
	for rest := written; rest != ""; {
		var next part
		next, rest, err = parsePart(rest)
		if err != nil {
			return nil, 0, err
		}
		segment = append(segment, next)
		longest += next.field.longest() + len(next.text)
	}
	if strings.ContainsAny(written[:1], ".-") || strings.HasSuffix(written, ".") {
		return nil, 0, fmt.Errorf("has the part %q, which begins with a dot or a dash or ends with a dot", written)
	}
	if longest > maxSegmentBytes {
		return nil, 0, fmt.Errorf("has the part %q, which can grow to %d bytes, more than %d", written, longest, maxSegmentBytes)
	}
	return segment, longest, nil
}

// parsePart parses a field or a run of text at the start.
func parsePart(written string) (next part, rest string, err error) {
	if written[0] != '{' {
		end := strings.IndexByte(written, '{')
		if end < 0 {
			end = len(written)
		}
		return part{text: written[:end]}, written[end:], checkText(written[:end])
	}
	name, rest, closed := strings.Cut(written[1:], "}")
	if !closed {
		return part{}, "", errors.New("has a { without its }")
	}
	if field(name).longest() == 0 {
		return part{}, "", fmt.Errorf(
			"has {%s}; there are {date} {year} {month} {day} {job} {event} {reference} {input} {name} {index} {ext}", name)
	}
	return part{field: field(name)}, rest, nil
}

func checkText(text string) error {
	odd := strings.IndexFunc(text, func(r rune) bool { return !isPlain(r) && r != '=' })
	if odd >= 0 {
		r, _ := utf8.DecodeRuneInString(text[odd:])
		return fmt.Errorf("has %q; letters without accents, digits and . _ - = / may stand beside the fields", r)
	}
	if strings.Contains(text, "..") {
		return errors.New("has two dots in a row")
	}
	return nil
}

// checkFields ensures that every key has an extension and that the keys of events differ as a rule. Equal keys get a
// hash when they are stored.
func checkFields(segments [][]part) error {
	last := segments[len(segments)-1]
	end := last[len(last)-1]
	extension := end.field == fieldExt && len(last) > 1 && strings.HasSuffix(last[len(last)-2].text, ".")
	if end.field != fieldName && !extension {
		return errors.New("does not end with {name} or .{ext}")
	}
	for _, naming := range []field{fieldName, fieldJob, fieldEvent, fieldReference, fieldInput} {
		if slices.ContainsFunc(slices.Concat(segments...), func(p part) bool { return p.field == naming }) {
			return nil
		}
	}
	return errors.New("has none of {name}, {job}, {event}, {reference} and {input}, so all images would have the same key")
}

// expand returns the key with the values of the fields.
func (t Template) expand(values map[field]string) string {
	var key strings.Builder
	for n, segment := range t.segments {
		if n > 0 {
			key.WriteByte('/')
		}
		var text strings.Builder
		for _, part := range segment {
			text.WriteString(part.text)
			text.WriteString(values[part.field])
		}
		key.WriteString(unreserved(text.String()))
	}
	return key.String()
}
