package event

import (
	"bytes"
	"io"
	"slices"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// pieceBytes is the length of the parts in which a long string is written.
const pieceBytes = 4 << 10

// tree is a JSON text whose values are found. Its size grows with the number of tokens, not with their length.
type tree struct {
	text []byte
	root node
}

// node is a value in a tree, with its name if it is in an object.
type node struct {
	at, end         uint32 // place of a value in the text; of an object or an array, only at
	nameAt, nameEnd uint32
	children        []node
}

func (t tree) written(n node) jsontext.Value { return t.text[n.at:n.end] }
func (t tree) name(n node) jsontext.Value    { return t.text[n.nameAt:n.nameEnd] }
func (t tree) kind(n node) jsontext.Kind     { return jsontext.Value(t.text[n.at:]).Kind() }

// tree reads the next value.
func (s *scanner) tree() (n node, err error) {
	var start int64
	if kind := s.kind(); isContainer(kind) {
		if err := s.token(); err != nil {
			return n, err
		}
		start = s.decoder.InputOffset() - 1
		for s.kind() != '}' && s.kind() != ']' {
			child, err := s.child(kind == '{')
			if err != nil {
				return n, err
			}
			n.children = append(n.children, child)
		}
		err = s.token()
	} else {
		var written jsontext.Value
		written, err = s.scalar()
		start = s.decoder.InputOffset() - int64(len(written))
	}
	n.at, n.end = uint32(start), uint32(s.decoder.InputOffset())
	return n, err
}

// child reads an element of an array, or a name and its value.
func (s *scanner) child(named bool) (n node, err error) {
	if !named {
		return s.tree()
	}
	name, err := s.scalar()
	if err != nil {
		return n, err
	}
	end := s.decoder.InputOffset()
	n, err = s.tree()
	n.nameAt, n.nameEnd = uint32(end)-uint32(len(name)), uint32(end)
	return n, err
}

// sortNames sorts the members of all objects as RFC 8785 says. It reports whether an object has a name twice, and where the second is.
func (t tree) sortNames(n node) (at int64, repeated bool) {
	if t.kind(n) == '{' {
		slices.SortStableFunc(n.children, func(a, b node) int { return compareNames(t.name(a), t.name(b)) })
		for i := 1; i < len(n.children); i++ {
			if compareNames(t.name(n.children[i-1]), t.name(n.children[i])) == 0 {
				return int64(n.children[i].nameAt), true
			}
		}
	}
	for _, child := range n.children {
		if at, repeated := t.sortNames(child); repeated {
			return at, true
		}
	}
	return 0, false
}

// compareNames compares two JSON strings by the UTF-16 of their texts.
func compareNames(a, b jsontext.Value) int {
	a, b = a[1:len(a)-1], b[1:len(b)-1]
	for len(a) > 0 && len(b) > 0 {
		left, n := firstRune(a)
		right, m := firstRune(b)
		if left != right {
			return compareUTF16(left, right)
		}
		a, b = a[n:], b[m:]
	}
	return len(a) - len(b)
}

func compareUTF16(a, b rune) int {
	first := func(r rune) rune {
		if high, _ := utf16.EncodeRune(r); r > 0xFFFF {
			return high
		}
		return r
	}
	if first(a) != first(b) {
		return int(first(a) - first(b))
	}
	return int(a - b)
}

// firstRune returns the first character of the content of a valid JSON string, and the length of what is written for it.
func firstRune(content []byte) (r rune, length int) {
	if content[0] != '\\' {
		return utf8.DecodeRune(content)
	}
	length, _ = escapeLength(content)
	quoted := append(append([]byte{'"'}, content[:length]...), '"')
	text, _ := jsontext.AppendUnquote(nil, quoted) // valid, see Decode
	r, _ = utf8.DecodeRune(text)
	return r, length
}

// canonical writes values as Digest says.
type canonical struct {
	tree
	to    io.Writer                   // without errors
	plain func(address string) string // changes strings; nil for none

	quoted, text []byte // memory for strings
}

func (c *canonical) node(n node) {
	switch c.kind(n) {
	case '{', '[':
		brackets := map[jsontext.Kind]string{'{': "{}", '[': "[]"}[c.kind(n)]
		c.write([]byte(brackets[:1]))
		for i, child := range n.children {
			if i > 0 {
				c.write([]byte{','})
			}
			if name := c.name(child); len(name) > 0 {
				c.string(name)
				c.write([]byte{':'})
			}
			c.node(child)
		}
		c.write([]byte(brackets[1:]))
	case '"':
		c.value(c.written(n))
	default:
		c.write(c.written(n))
	}
}

// value writes a string that is not a name.
func (c *canonical) value(written jsontext.Value) {
	if c.plain != nil && len(written) <= maxWritten(MaxURLBytes) && bytes.ContainsRune(written, '/') {
		c.text, _ = jsontext.AppendUnquote(c.text[:0], written) // valid, see Decode
		if bytes.ContainsRune(c.text, '?') {
			c.quoted, _ = jsontext.AppendQuote(c.quoted[:0], c.plain(string(c.text)))
			c.write(c.quoted)
			return
		}
	}
	c.string(written)
}

// string writes a string in its shortest form, in pieces.
func (c *canonical) string(written jsontext.Value) {
	c.write([]byte{'"'})
	for content := written[1 : len(written)-1]; len(content) > 0; {
		n := pieceLength(content)
		c.quoted = append(append(append(c.quoted[:0], '"'), content[:n]...), '"')
		c.text, _ = jsontext.AppendUnquote(c.text[:0], c.quoted) // valid, see Decode
		c.quoted, _ = jsontext.AppendQuote(c.quoted[:0], c.text)
		c.write(c.quoted[1 : len(c.quoted)-1])
		content = content[n:]
	}
	c.write([]byte{'"'})
}

// pieceLength returns how much of the content of a valid string is a piece: whole characters and escape sequences.
func pieceLength(content []byte) int {
	if len(content) <= pieceBytes {
		return len(content)
	}
	n := 0
	for n < pieceBytes {
		switch {
		case content[n] == '\\':
			length, _ := escapeLength(content[n:])
			n += length
		case content[n] < utf8.RuneSelf:
			n++
		default:
			_, length := utf8.DecodeRune(content[n:])
			n += length
		}
	}
	return n
}

// write ignores the error, which a hash never returns.
func (c *canonical) write(p []byte) { _, _ = c.to.Write(p) }

// maxWritten returns the length of the longest JSON string for a text of n bytes. An escape sequence has at most six characters for one.
func maxWritten(n int) int { return 6*n + len(`""`) }
