package event

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// repair returns a copy of text that is JSON. Invalid parts of strings become replacement characters, other
// literals become strings, levels beyond MaxDepth are left out. It fails if the grammar of text is not that of JSON.
func repair(text []byte) ([]byte, error) {
	l := newLexer(text)
	l.out = newRepairer()
	l.space()
	if err := l.value(); err != nil {
		return nil, err
	}
	if l.space(); l.pos < len(l.text) {
		return nil, l.fail(DefectTrailing)
	}
	return l.out.copied.Bytes(), nil
}

// repairer writes the copy of repair. A nil repairer writes nothing.
type repairer struct {
	copied  *bytes.Buffer
	encoder *jsontext.Encoder
}

func newRepairer() *repairer {
	copied := &bytes.Buffer{}
	return &repairer{copied: copied, encoder: jsontext.NewEncoder(copied, jsontext.AllowDuplicateNames(true))}
}

// begin writes an opening bracket at a depth from 1.
func (r *repairer) begin(c byte, depth int) {
	switch {
	case r == nil || depth > MaxDepth:
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
	case r == nil || depth >= MaxDepth:
	case c == '}':
		r.write(jsontext.EndObject)
	default:
		r.write(jsontext.EndArray)
	}
}

// scalar writes a string or a literal.
func (r *repairer) scalar(written []byte, depth int) {
	if r == nil || depth >= MaxDepth {
		return
	}
	if written[0] == '"' {
		written = repairString(written)
	}
	_ = r.encoder.WriteValue(written) // valid, see repairString and lexer.literal
}

// write ignores errors: the buffer has none, and the order of tokens is valid.
func (r *repairer) write(token jsontext.Token) { _ = r.encoder.WriteToken(token) }

// repairString returns a valid JSON string, written itself if it is one.
func repairString(written []byte) []byte {
	content := written[1 : len(written)-1]
	kind, at, length := stringDefect(content, 0)
	if kind == "" {
		return written
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
