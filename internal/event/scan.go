package event

import (
	"bytes"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Bounds of what is read as JSON. They also bound the memory for the names of an
// object, which are kept to find repeated ones, to a small multiple of the text.
const (
	MaxDepth  = 64      // levels of objects and arrays, the outermost counted as one
	MaxTokens = 200_000 // names, strings, numbers, literals, and every bracket
)

// maxPooledBytes is the longest text that is read with one of the library's pooled
// decoders. They keep their memory, so a long text gets one of its own.
const maxPooledBytes = 64 << 10

// scanner reads one JSON text token by token and keeps the bounds. Everything it
// gives is a part of the text, which is not copied and must not be changed.
type scanner struct {
	text    []byte
	read    func(*scanner) error
	decoder *jsontext.Decoder
	tokens  int
	end     int64 // offset behind the value, once it is read
	err     error // what read returned
}

// scan calls read for the one JSON value that text has to be; read consumes it whole.
func scan(text []byte, read func(*scanner) error) error {
	s := &scanner{text: text, read: read}
	var err error
	if len(text) <= maxPooledBytes {
		err = json.Unmarshal(text, s)
	} else {
		err = s.UnmarshalJSONFrom(jsontext.NewDecoder(bytes.NewBuffer(text)))
	}
	switch rest := bytes.TrimLeft(text[s.end:], whiteSpace); {
	case s.err != nil:
		return s.err
	case s.end > 0 && len(rest) > 0:
		return malformedAt(DefectTrailing, int64(len(text)-len(rest)), "")
	case err != nil:
		return malformed(text, err)
	default:
		return nil
	}
}

// UnmarshalJSONFrom is what package json calls with a pooled decoder.
func (s *scanner) UnmarshalJSONFrom(decoder *jsontext.Decoder) error {
	s.decoder = decoder
	s.err = s.read(s)
	s.end = decoder.InputOffset()
	return s.err
}

// kind tells what comes next; what is no JSON is told by the read that follows.
func (s *scanner) kind() jsontext.Kind { return s.decoder.PeekKind() }

// token reads a bracket, or whatever else is next.
func (s *scanner) token() error {
	_, err := s.decoder.ReadToken()
	return s.check(err)
}

// scalar reads a string, number or literal as it is written.
func (s *scanner) scalar() (jsontext.Value, error) {
	written, err := s.decoder.ReadValue()
	return written, s.check(err)
}

// value reads whatever is next, whole, as it is written.
func (s *scanner) value() (jsontext.Value, error) {
	if !isContainer(s.kind()) {
		return s.scalar()
	}
	depth := s.decoder.StackDepth()
	if err := s.token(); err != nil {
		return nil, err
	}
	start := s.decoder.InputOffset() - 1
	for s.decoder.StackDepth() > depth {
		if err := s.token(); err != nil {
			return nil, err
		}
	}
	return s.text[start:s.decoder.InputOffset()], nil
}

// object reads an object: for each member, with the name as it is written, it
// calls member, which reads the value.
func (s *scanner) object(member func(name jsontext.Value) error) error {
	if err := s.token(); err != nil {
		return err
	}
	for s.kind() == '"' {
		name, err := s.scalar()
		if err != nil {
			return err
		}
		if err := member(name); err != nil {
			return err
		}
	}
	return s.token()
}

// array reads an array: for each element it calls element, which reads it.
func (s *scanner) array(element func() error) error {
	if err := s.token(); err != nil {
		return err
	}
	for s.kind() != ']' {
		if err := element(); err != nil {
			return err
		}
	}
	return s.token()
}

// check turns what a read said into our error, and keeps the bounds.
func (s *scanner) check(err error) error {
	s.tokens++
	switch {
	case err != nil:
		return malformed(s.text, err)
	case s.tokens > MaxTokens:
		return malformedAt(DefectTooMany, s.decoder.InputOffset(), "")
	case s.decoder.StackDepth() > MaxDepth:
		return malformedAt(DefectTooDeep, s.decoder.InputOffset()-1, "")
	default:
		return nil
	}
}

// unquote gives the text of a string that was read as it is written.
func unquote(written jsontext.Value) (string, error) {
	var space [512]byte // most strings fit, and cost one copy
	text, err := jsontext.AppendUnquote(space[:0], written)
	if err != nil {
		return "", malformed(written, err)
	}
	return string(text), nil
}

// isName tells whether written, which may have escapes in it, is the string name.
func isName(written jsontext.Value, name string) bool {
	var space [64]byte
	text, err := jsontext.AppendUnquote(space[:0], written)
	return err == nil && string(text) == name
}

func isContainer(kind jsontext.Kind) bool { return kind == '{' || kind == '[' }
