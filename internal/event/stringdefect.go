package event

import (
	"bytes"
	"unicode/utf8"
)

// stringDefect returns the kind, the offset and the length of the first defect of the content of a string, from
// offset i on; "" if there is none.
func stringDefect(content []byte, i int) (kind DefectKind, at, length int) {
	for i < len(content) {
		switch c := content[i]; {
		case c == '\\':
			n, ok := escapeLength(content[i:])
			if !ok {
				return DefectEscape, i, n
			}
			i += n
		case c < ' ':
			return DefectControl, i, 1
		case c < utf8.RuneSelf:
			i++
		default:
			r, n := utf8.DecodeRune(content[i:])
			if r == utf8.RuneError && n == 1 {
				return DefectEncoding, i, 1
			}
			i += n
		}
	}
	return "", 0, 0
}

// escapeLength returns the length of the escape sequence at the beginning of text, and whether it is valid. For an
// invalid one it is 6, an unpaired surrogate, or 1, a backslash that escapes nothing.
func escapeLength(text []byte) (n int, ok bool) {
	const short, long = 2, 6
	if len(text) < short {
		return 1, false
	}
	if bytes.IndexByte([]byte(`"\/bfnrt`), text[1]) >= 0 {
		return short, true
	}
	unit, ok := utf16Unit(text)
	switch {
	case !ok:
		return 1, false
	case unit < 0xD800 || unit > 0xDFFF:
		return long, true
	case unit >= 0xDC00:
		return long, false
	}
	low, ok := utf16Unit(text[long:])
	if !ok || low < 0xDC00 || low > 0xDFFF {
		return long, false
	}
	return 2 * long, true
}

// utf16Unit returns the value of the escape sequence \uXXXX at the beginning of text.
func utf16Unit(text []byte) (unit rune, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	for _, c := range text[2:6] {
		digit := bytes.IndexByte([]byte("0123456789abcdef"), c|' ')
		if digit < 0 {
			return 0, false
		}
		unit = unit<<4 | rune(digit)
	}
	return unit, true
}
