package event

import (
	"bytes"
	"cmp"
	"errors"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits of the lenient reader.
const (
	maxDefects      = 10      // noted for one text
	maxLenientDepth = 1 << 20 // levels of brackets
)

// utf8Mark is the byte order mark of UTF-8.
const utf8Mark = "\xEF\xBB\xBF"

// errLexer is the cause of every error of a lexer.
var errLexer = errors.New("no JSON")

// lexerError is a MalformedError of a lexer.
type lexerError struct{ MalformedError }

func (e *lexerError) Unwrap() []error { return []error{&e.MalformedError, errLexer} }

// lexer reads a text with the grammar of JSON, with any bytes in strings, any words in place of numbers and literals,
// duplicate names, and any depth.
type lexer struct {
	text    []byte
	pos     int
	open    []bool // open brackets, true for an object
	defects []Defect
	out     *repairer // nil unless a repaired copy is wanted
}

// newLexer returns a lexer behind the byte order mark of text, if it has one.
func newLexer(text []byte) *lexer {
	l := &lexer{text: text}
	if bytes.HasPrefix(text, []byte(utf8Mark)) {
		l.note(DefectByteOrderMark, 0)
		l.pos = len(utf8Mark)
	}
	return l
}

// members reads an object and calls member with the JSON of each name, its value and the offset of the name.
func (l *lexer) members(member func(name, value []byte, at int) error) error {
	l.space()
	if !l.take('{') {
		return l.fail(DefectSyntax)
	}
	if l.space(); l.take('}') {
		return l.end()
	}
	for {
		l.space()
		at := l.pos
		if !l.starts('"') {
			return l.fail(DefectName)
		}
		if err := l.quoted(); err != nil {
			return err
		}
		name := l.text[at:l.pos]
		if l.space(); !l.take(':') {
			return l.fail(DefectSyntax)
		}
		l.space()
		start := l.pos
		if err := l.value(); err != nil {
			return err
		}
		if err := member(name, l.text[start:l.pos], at); err != nil {
			return err
		}
		if l.space(); l.take('}') {
			return l.end()
		}
		if !l.take(',') {
			return l.fail(DefectSyntax)
		}
	}
}

// end expects the end of the text.
func (l *lexer) end() error {
	if l.space(); l.pos < len(l.text) {
		return l.fail(DefectTrailing)
	}
	return nil
}

// grammar is what may come next in a text.
type grammar int

const (
	wantValue grammar = iota
	wantValueOrEnd
	wantName
	wantNameOrEnd
	wantColon
	wantCommaOrEnd
)

// value reads the next value.
func (l *lexer) value() error {
	for want := wantValue; ; l.space() {
		if l.pos == len(l.text) {
			return l.fail(DefectCut)
		}
		next, err := l.piece(want, l.text[l.pos])
		if err != nil {
			return err
		}
		if len(l.open) == 0 {
			return nil
		}
		want = next
	}
}

// piece reads a bracket, a separator, a string or a literal that starts with c. It returns what may come next.
func (l *lexer) piece(want grammar, c byte) (next grammar, err error) {
	switch want {
	case wantName, wantNameOrEnd:
		if c == '}' && want == wantNameOrEnd {
			return l.close(c)
		}
		if c != '"' {
			return 0, l.fail(DefectName)
		}
		return wantColon, l.quoted()
	case wantColon:
		if c != ':' {
			return 0, l.fail(DefectSyntax)
		}
		l.pos++
		return wantValue, nil
	case wantCommaOrEnd:
		return l.separator(c)
	case wantValueOrEnd:
		if c == ']' {
			return l.close(c)
		}
	}
	switch c {
	case '{', '[':
		return l.begin(c)
	case '"':
		return wantCommaOrEnd, l.quoted()
	default:
		return wantCommaOrEnd, l.literal()
	}
}

// separator reads a comma or a closing bracket.
func (l *lexer) separator(c byte) (next grammar, err error) {
	inObject := l.open[len(l.open)-1]
	switch {
	case c == '}' && inObject, c == ']' && !inObject:
		return l.close(c)
	case c != ',':
		return 0, l.fail(DefectSyntax)
	}
	l.pos++
	if inObject {
		return wantName, nil
	}
	return wantValue, nil
}

// close reads a closing bracket.
func (l *lexer) close(c byte) (next grammar, err error) {
	l.out.end(c, len(l.open))
	l.open = l.open[:len(l.open)-1]
	l.pos++
	return wantCommaOrEnd, nil
}

// begin reads an opening bracket.
func (l *lexer) begin(c byte) (next grammar, err error) {
	if len(l.open) == maxLenientDepth {
		return 0, l.fail(DefectTooDeep)
	}
	if len(l.open) == MaxDepth-1 {
		l.note(DefectTooDeep, l.pos)
	}
	l.open = append(l.open, c == '{')
	l.pos++
	l.out.begin(c, len(l.open))
	if c == '{' {
		return wantNameOrEnd, nil
	}
	return wantValueOrEnd, nil
}

// quoted reads a string.
func (l *lexer) quoted() error {
	start := l.pos
	for next := start + 1; ; {
		i := bytes.IndexByte(l.text[next:], '"')
		if i < 0 {
			l.pos = len(l.text)
			return l.fail(DefectCut)
		}
		next += i + 1
		content := l.text[start+1 : next-1]
		if escapes := len(content) - len(bytes.TrimRight(content, `\`)); escapes%2 == 0 {
			l.pos = next
			if kind, at, _ := stringDefect(content, 0); kind != "" {
				l.note(kind, start+1+at)
			}
			l.out.scalar(l.text[start:next], len(l.open))
			return nil
		}
	}
}

// literal reads a number or a word.
func (l *lexer) literal() error {
	start := l.pos
	for l.pos < len(l.text) && isLiteralByte(l.text[l.pos]) {
		l.pos++
	}
	if l.pos == start {
		return l.fail(DefectSyntax)
	}
	written := l.text[start:l.pos]
	if !jsontext.Value(written).IsValid() {
		l.note(DefectLiteral, start)
		written, _ = jsontext.AppendQuote(nil, written) // ASCII only
	}
	l.out.scalar(written, len(l.open))
	return nil
}

func isLiteralByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '+' || c == '-' || c == '.' || c == '_'
}

func (l *lexer) space() {
	for l.pos < len(l.text) && bytes.IndexByte([]byte(whiteSpace), l.text[l.pos]) >= 0 {
		l.pos++
	}
}

func (l *lexer) starts(c byte) bool { return l.pos < len(l.text) && l.text[l.pos] == c }

func (l *lexer) take(c byte) bool {
	if !l.starts(c) {
		return false
	}
	l.pos++
	return true
}

// fail returns an error at the position.
func (l *lexer) fail(kind DefectKind) error {
	if l.pos == len(l.text) {
		kind = DefectCut
	}
	return &lexerError{MalformedError{Defect{Kind: kind, Offset: int64(l.pos)}}}
}

func (l *lexer) note(kind DefectKind, offset int) {
	if len(l.defects) < maxDefects {
		l.defects = append(l.defects, Defect{Kind: kind, Offset: int64(offset)})
	}
}

// withDefect returns the defects together with first, the defect where the strict reader stopped, in the order of the text.
func (l *lexer) withDefect(first Defect) []Defect {
	same := slices.IndexFunc(l.defects, func(d Defect) bool { return d.Kind == first.Kind })
	if first.Kind == DefectSyntax { // the strict reader has no other kind for DefectLiteral and DefectControl
		same = 0
	}
	if same >= 0 && same < len(l.defects) {
		l.defects[same].Pointer = first.Pointer
		return l.defects
	}
	l.defects = append(l.defects, first)
	slices.SortStableFunc(l.defects, func(a, b Defect) int { return cmp.Compare(a.Offset, b.Offset) })
	return l.defects
}
