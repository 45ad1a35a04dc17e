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
	open    bits // open brackets, true for an object
	defects []Defect
	out     *repairer // nil unless a repaired copy is wanted
	outer   int       // levels of brackets around the text
	broken  bool      // the last value of members has the extent that its brackets and quotation marks say, and is not JSON
}

// bits is a stack of bits.
type bits struct {
	words  []uint64
	length int
}

const wordBits = 64

func (b *bits) push(bit bool) {
	if b.length == wordBits*len(b.words) {
		b.words = append(b.words, 0)
	}
	word, mask := &b.words[b.length/wordBits], uint64(1)<<(b.length%wordBits)
	if *word &^= mask; bit {
		*word |= mask
	}
	b.length++
}

func (b *bits) pop() { b.length-- }

func (b *bits) top() bool {
	last := b.length - 1
	return b.words[last/wordBits]>>(last%wordBits)&1 == 1
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
		value, err := l.memberValue(name)
		if err != nil {
			return err
		}
		if err := member(name, value, at); err != nil {
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

// memberValue reads the value of a member of the outermost object. Where it is opaque, its grammar may be broken.
func (l *lexer) memberValue(name []byte) ([]byte, error) {
	start, defects := l.pos, len(l.defects)
	err := l.value()
	end := l.pos
	l.broken = false
	if err == nil {
		if l.space(); l.starts(',') || l.starts('}') || !isOpaque(name) {
			return l.text[start:end], nil
		}
		err = l.fail(DefectSyntax) // something follows the value
	}
	if end = extent(l.text, start); !isOpaque(name) || end < 0 {
		return nil, err
	}
	if failed, ok := errors.AsType[*MalformedError](err); ok {
		l.defects = l.defects[:defects]
		l.note(failed.Kind, int(failed.Offset))
	}
	l.open.length, l.pos, l.broken = 0, end, true
	return bytes.TrimRight(l.text[start:end], whiteSpace), nil
}

// isOpaque reports whether the receiver does not act upon the member with this name, and only keeps it.
func isOpaque(name []byte) bool {
	return !isName(name, "job") && !isName(name, "result_url") && !isName(name, "results")
}

// extent returns the end of the value at start, which is not JSON: the comma or the bracket that ends it outside of its own
// brackets and quotation marks. It is -1 if they do not match.
func extent(text []byte, start int) int {
	var open bits // brackets, true for an object
	for at := start; at < len(text); at++ {
		switch c := text[at]; {
		case c == '"':
			length := quotedLength(text[at:])
			if length < 0 {
				return -1
			}
			at += length - 1
		case (c == '{' || c == '[') && open.length < maxLenientDepth:
			open.push(c == '{')
		case c == '{', c == '[':
			return -1
		case open.length == 0 && (c == ',' || c == '}'):
			if len(bytes.TrimLeft(text[start:at], whiteSpace)) == 0 {
				return -1
			}
			return at
		case c == '}', c == ']':
			if open.length == 0 || open.top() != (c == '}') {
				return -1
			}
			open.pop()
		}
	}
	return -1
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
		if l.open.length == 0 {
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
	inObject := l.open.top()
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
	l.out.end(c, l.depth())
	l.open.pop()
	l.pos++
	return wantCommaOrEnd, nil
}

// begin reads an opening bracket.
func (l *lexer) begin(c byte) (next grammar, err error) {
	if l.open.length == maxLenientDepth {
		return 0, l.fail(DefectTooDeep)
	}
	if l.depth() == MaxDepth-1 {
		l.note(DefectTooDeep, l.pos)
	}
	l.open.push(c == '{')
	l.pos++
	l.out.begin(c, l.depth())
	if c == '{' {
		return wantNameOrEnd, nil
	}
	return wantValueOrEnd, nil
}

// quoted reads a string.
func (l *lexer) quoted() error {
	start := l.pos
	length := quotedLength(l.text[start:])
	if length < 0 {
		l.pos = len(l.text)
		return l.fail(DefectCut)
	}
	l.pos = start + length
	if kind, at, _ := stringDefect(l.text[start+1:l.pos-1], 0); kind != "" {
		l.note(kind, start+1+at)
	}
	l.out.scalar(l.text[start:l.pos], l.depth())
	return nil
}

// quotedLength returns the length of the string at the beginning of text, with its quotation marks, or -1 if it does not end.
func quotedLength(text []byte) int {
	for next := 1; ; {
		i := bytes.IndexByte(text[next:], '"')
		if i < 0 {
			return -1
		}
		next += i + 1
		content := text[1 : next-1]
		if escapes := len(content) - len(bytes.TrimRight(content, `\`)); escapes%2 == 0 {
			return next
		}
	}
}

// depth returns the number of levels of brackets around the position.
func (l *lexer) depth() int { return l.outer + l.open.length }

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
	l.out.scalar(written, l.depth())
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
