package event

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// whiteSpace is what JSON allows around its tokens.
const whiteSpace = " \t\r\n"

// maxPointerBytes bounds the JSON pointer that is told with a fault of syntax.
const maxPointerBytes = 128

// malformed says in our own words what the decoder found wrong with text. The
// decoder's own are not used: they quote the text.
func malformed(text []byte, err error) error {
	syntactic := &jsontext.SyntacticError{ByteOffset: int64(len(text))}
	errors.As(err, &syntactic)
	offset := min(max(syntactic.ByteOffset, 0), int64(len(text)))
	return malformedAt(complaint(text, offset, err), offset, syntactic.JSONPointer)
}

// complaint names the fault at offset.
func complaint(text []byte, offset int64, err error) string {
	rest := text[offset:]
	switch {
	case startsWithMark(text):
		return "it starts with a byte order mark; plain UTF-8 without one is demanded"
	case len(bytes.TrimLeft(text, whiteSpace)) == 0:
		return "it is empty"
	case errors.Is(err, jsontext.ErrDuplicateName):
		return "an object has the same name twice"
	case errors.Is(err, jsontext.ErrNonStringName):
		return "the name of an object's member is not a string"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "it ends before the JSON value is complete"
	case !validStart(rest):
		return "it is not valid UTF-8"
	case bytes.HasPrefix(rest, []byte(`\`)):
		return "a string has an escape that is not allowed, or half of a surrogate pair"
	default:
		return "there is a character that JSON does not allow there"
	}
}

// startsWithMark tells whether text starts with the byte order mark of UTF-8 or UTF-16.
func startsWithMark(text []byte) bool {
	return bytes.HasPrefix(text, []byte("\xEF\xBB\xBF")) ||
		bytes.HasPrefix(text, []byte("\xFE\xFF")) || bytes.HasPrefix(text, []byte("\xFF\xFE"))
}

// validStart tells whether text starts with a whole UTF-8 character, or is at its end.
func validStart(text []byte) bool {
	r, size := utf8.DecodeRune(text)
	return r != utf8.RuneError || size != 1
}

// malformedAt makes the error. The pointer is told only where it is short and plain:
// it is made of names that a stranger chose.
func malformedAt(what string, offset int64, pointer jsontext.Pointer) error {
	detail := fmt.Sprintf("the body is not JSON as it is demanded here: %s, at byte %d", what, offset)
	if pointer != "" && len(pointer) <= maxPointerBytes && strings.IndexFunc(string(pointer), isOdd) < 0 {
		detail += ", in " + string(pointer)
	}
	return &Error{Code: CodeMalformed, Detail: detail}
}

// isOdd tells whether r is no plain character of a name or a pointer.
func isOdd(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("/_-.~", r))
}
