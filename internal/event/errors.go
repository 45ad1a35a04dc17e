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

// ErrBacklogFull is returned by a store that holds as many waiting events as it may.
var ErrBacklogFull = errors.New("too many events are waiting")

// MalformedError reports that a body is not the JSON that Decode reads.
type MalformedError struct{ Defect }

// Error returns the defect and its place, never a part of the body.
func (e *MalformedError) Error() string { return "malformed JSON: " + e.String() }

// InvalidError reports that a body is JSON but not a Deep Image callback.
type InvalidError struct{ Faults []Fault }

// Error lists the faults, never a part of the body.
func (e *InvalidError) Error() string {
	texts := make([]string, len(e.Faults))
	for i, fault := range e.Faults {
		texts[i] = strings.TrimSpace(fault.Pointer + " " + fault.Detail)
	}
	return "not a Deep Image callback: " + strings.Join(texts, "; ")
}

// Fault is one rule that a body breaks although it is JSON.
type Fault struct {
	Pointer string    `json:"pointer"` // JSON pointer (RFC 6901); "" for the whole body
	Detail  string    `json:"detail"`  // one clause, such as "is missing"
	Kind    FaultKind `json:"-"`
}

// FaultKind names the rule that a Fault breaks.
type FaultKind string

// Kinds of faults.
const (
	FaultMissing FaultKind = "missing"
	FaultType    FaultKind = "type"
	FaultEmpty   FaultKind = "empty"
	FaultTooLong FaultKind = "too_long"
	FaultControl FaultKind = "control"
)

// Defect is a place in a body that is not the JSON that Decode reads.
type Defect struct {
	Kind    DefectKind `json:"kind"`
	Offset  int64      `json:"offset"`            // byte of the body, from 0
	Pointer string     `json:"pointer,omitempty"` // JSON pointer (RFC 6901); "" if unknown, long or with unusual characters
}

// String returns the defect and its place in words.
func (d Defect) String() string {
	text := fmt.Sprintf("%s at byte %d", d.Kind.text(), d.Offset)
	if d.Pointer != "" {
		text += ", in " + d.Pointer
	}
	return text
}

// DefectKind names what is wrong with a body.
type DefectKind string

// Kinds of defects.
const (
	DefectEmpty         DefectKind = "empty"
	DefectByteOrderMark DefectKind = "byte_order_mark"
	DefectDuplicateName DefectKind = "duplicate_name"
	DefectName          DefectKind = "name"
	DefectCut           DefectKind = "cut"
	DefectEncoding      DefectKind = "encoding"
	DefectEscape        DefectKind = "escape"
	DefectControl       DefectKind = "control_character"
	DefectLiteral       DefectKind = "literal"
	DefectSyntax        DefectKind = "syntax"
	DefectTrailing      DefectKind = "trailing"
	DefectTooDeep       DefectKind = "too_deep"
	DefectTooMany       DefectKind = "too_many"
)

// text describes the kind in words.
func (k DefectKind) text() string {
	switch k {
	case DefectEmpty:
		return "empty body"
	case DefectByteOrderMark:
		return "byte order mark"
	case DefectDuplicateName:
		return "duplicate name in an object"
	case DefectName:
		return "object name that is not a string"
	case DefectCut:
		return "unexpected end"
	case DefectEncoding:
		return "invalid UTF-8"
	case DefectEscape:
		return "invalid escape or unpaired surrogate"
	case DefectControl:
		return "control character in a string"
	case DefectLiteral:
		return "word or number that JSON does not have"
	case DefectTrailing:
		return "data after the JSON value"
	case DefectTooDeep:
		return fmt.Sprintf("nesting deeper than %d levels", MaxDepth)
	case DefectTooMany:
		return fmt.Sprintf("more than %d names, values and brackets in results", MaxTokens)
	default:
		return "invalid character"
	}
}

// whiteSpace is what JSON allows between tokens.
const whiteSpace = " \t\r\n"

// maxPointerBytes is the length of the longest JSON pointer that a Defect holds.
const maxPointerBytes = 128

// malformed returns the error of the decoder as ours. The texts of the decoder quote the body, so they are not used.
func malformed(text []byte, err error) error {
	syntactic := &jsontext.SyntacticError{ByteOffset: int64(len(text))}
	errors.As(err, &syntactic)
	offset := min(max(syntactic.ByteOffset, 0), int64(len(text)))
	return malformedAt(defectAt(text, offset, err), offset, syntactic.JSONPointer)
}

// defectAt returns the kind of the defect at offset.
func defectAt(text []byte, offset int64, err error) DefectKind {
	rest := text[offset:]
	switch {
	case startsWithMark(text):
		return DefectByteOrderMark
	case len(bytes.TrimLeft(text, whiteSpace)) == 0:
		return DefectEmpty
	case errors.Is(err, jsontext.ErrDuplicateName):
		return DefectDuplicateName
	case errors.Is(err, jsontext.ErrNonStringName):
		return DefectName
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return DefectCut
	case !validStart(rest):
		return DefectEncoding
	case bytes.HasPrefix(rest, []byte(`\`)):
		return DefectEscape
	default:
		return DefectSyntax
	}
}

// startsWithMark reports whether text starts with the byte order mark of UTF-8 or UTF-16.
func startsWithMark(text []byte) bool {
	return bytes.HasPrefix(text, []byte("\xEF\xBB\xBF")) ||
		bytes.HasPrefix(text, []byte("\xFE\xFF")) || bytes.HasPrefix(text, []byte("\xFF\xFE"))
}

// validStart reports whether text is empty or starts with a whole UTF-8 character.
func validStart(text []byte) bool {
	r, size := utf8.DecodeRune(text)
	return r != utf8.RuneError || size != 1
}

// malformedAt returns a MalformedError. Names in pointer come from the sender, so only a short and plain pointer is kept.
func malformedAt(kind DefectKind, offset int64, pointer jsontext.Pointer) error {
	if len(pointer) > maxPointerBytes || strings.ContainsFunc(string(pointer), isUnusual) {
		pointer = ""
	}
	return &MalformedError{Defect{Kind: kind, Offset: offset, Pointer: string(pointer)}}
}

// isUnusual reports whether r does not belong in a plain JSON pointer.
func isUnusual(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("/_-.~", r))
}
