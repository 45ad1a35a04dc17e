package event

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// repair returns a copy of text that is JSON. Invalid parts of strings become replacement characters, other literals become
// strings, levels beyond MaxDepth are left out, and opaque members that are not JSON become a NotJSON. It fails if the grammar
// of text itself is not that of JSON.
//
// The copy may be longer than text by maxGrownBytes. Beyond that, repair fails with errOmitted: short strings of text that become
// that much longer are too many to be shown.
func repair(text []byte) ([]byte, error) {
	out := newRepairer(len(text))
	l := newLexer(text)
	l.space()
	var err error
	if l.starts('{') {
		err = out.members(l)
	} else {
		err = out.value(text[l.pos:], 0)
	}
	if err == nil && out.isFull() {
		err = errOmitted
	}
	return out.copied.Bytes(), err
}

// maxGrownBytes is how much longer than the text a repaired copy may be.
const maxGrownBytes = 8 << 20

// NotJSON returns the JSON string that stands for length bytes of an opaque member that are not JSON.
func NotJSON(length int) []byte { return fmt.Appendf(nil, `"[not JSON, %d bytes]"`, length) }

// repairer writes the copy of repair. A nil repairer writes nothing.
type repairer struct {
	copied  *bytes.Buffer
	encoder *jsontext.Encoder
	limit   int64 // of the copy, in bytes
}

func newRepairer(length int) *repairer {
	const longest = 6 // bytes for one
	limit := min(longest*length, length+maxGrownBytes)
	copied := bytes.NewBuffer(make([]byte, 0, limit+1<<10))
	return &repairer{copied: copied, encoder: jsontext.NewEncoder(copied, jsontext.AllowDuplicateNames(true)), limit: int64(limit) + 1<<10}
}

// isFull reports whether the copy has reached its limit, so that the rest is left out.
func (r *repairer) isFull() bool { return r.encoder.OutputOffset() > r.limit }

// members copies an object.
func (r *repairer) members(l *lexer) error {
	r.write(jsontext.BeginObject)
	err := l.members(func(name, value []byte, _ int) error {
		r.scalar(name, 1)
		if l.broken {
			r.scalar(NotJSON(len(value)), 1)
			return nil
		}
		return r.value(value, 1)
	})
	r.write(jsontext.EndObject)
	return err
}

// value copies a value within outer levels of brackets.
func (r *repairer) value(text []byte, outer int) error {
	l := &lexer{text: text, out: r, outer: outer}
	if err := l.value(); err != nil {
		return err
	}
	return l.end()
}

// begin writes an opening bracket at a depth from 1.
func (r *repairer) begin(c byte, depth int) {
	switch {
	case r == nil || depth > MaxDepth || r.isFull():
	case depth == MaxDepth:
		r.scalar([]byte(`"[nested too deep]"`), depth-1)
	case c == '{':
		r.write(jsontext.BeginObject)
	default:
		r.write(jsontext.BeginArray)
	}
}

// end writes a closing bracket.
func (r *repairer) end(c byte, depth int) {
	switch {
	case r == nil || depth >= MaxDepth || r.isFull():
	case c == '}':
		r.write(jsontext.EndObject)
	default:
		r.write(jsontext.EndArray)
	}
}

// scalar writes a string or a literal.
func (r *repairer) scalar(written []byte, depth int) {
	if r == nil || depth >= MaxDepth || r.isFull() {
		return
	}
	if written[0] == '"' {
		written = repairString(written)
	}
	_ = r.encoder.WriteValue(written) // valid, see repairString and lexer.literal
}

// write ignores errors: the buffer has none, and the order of tokens is valid.
func (r *repairer) write(token jsontext.Token) { _ = r.encoder.WriteToken(token) }

// repairString returns a valid JSON string, written itself if it is one. Of a long one only the beginning counts: the rest is replaced
// by as many other characters.
func repairString(written []byte) []byte {
	content := written[1 : len(written)-1]
	kind, at, length := stringDefect(content, 0)
	if kind == "" {
		return written
	}
	if rest := len(content) - 2*windowBytes; rest > 0 {
		repaired := append(make([]byte, 0, len(written)+12*windowBytes), repairString(append(written[:1+2*windowBytes:1+2*windowBytes], '"'))...)
		return append(append(repaired[:len(repaired)-1], bytes.Repeat([]byte{'x'}, rest)...), '"')
	}
	repaired := []byte{'"'}
	for i := 0; ; {
		if kind == "" {
			return append(append(repaired, content[i:]...), '"')
		}
		repaired = append(repaired, content[i:at]...)
		switch {
		case kind == DefectControl:
			repaired = fmt.Appendf(repaired, `\u%04x`, content[at])
		case kind == DefectEscape && length == 1:
			repaired = append(repaired, `\\`...)
		default:
			repaired = append(repaired, "\uFFFD"...)
		}
		i = at + length
		kind, at, length = stringDefect(content, i)
	}
}
