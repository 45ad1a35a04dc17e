package event

import (
	"bytes"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Limits of what is read as JSON.
const (
	MaxDepth  = 64     // levels of objects and arrays, the outermost counted as one
	MaxTokens = 10_000 // names, strings, numbers, literals and brackets in results
)

// maxPooledBytes is the length of the longest text for which a pooled decoder of the library is used: pooled
// decoders keep their memory.
const maxPooledBytes = 64 << 10

// scanner reads a JSON text token by token within the limits. What it returns is a part of the text, not a copy.
type scanner struct {
	text    []byte
	read    func(*scanner) error
	decoder *jsontext.Decoder
	limit   int // of tokens; 0 means none
	outer   int // levels around the text
	tokens  int
	end     int64 // offset behind the value, once it is read
	err     error // result of read
}

// scan calls read for the single JSON value of text. read must consume it. With names, a duplicate name is an error.
func scan(text []byte, names bool, read func(*scanner) error) error {
	s := &scanner{text: text, read: read}
	var err error
	if len(text) <= maxPooledBytes {
		err = json.Unmarshal(text, s, jsontext.AllowDuplicateNames(!names))
	} else {
		err = s.UnmarshalJSONFrom(jsontext.NewDecoder(bytes.NewBuffer(text), jsontext.AllowDuplicateNames(!names)))
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

// skipValue reads the value and drops it.
func skipValue(s *scanner) error {
	_, err := s.value()
	return err
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom, for the pooled decoders of package json.
func (s *scanner) UnmarshalJSONFrom(decoder *jsontext.Decoder) error {
	s.decoder = decoder
	s.err = s.read(s)
	s.end = decoder.InputOffset()
	return s.err
}

// kind returns the kind of the next token. If it is not JSON, the next read fails.
func (s *scanner) kind() jsontext.Kind { return s.decoder.PeekKind() }

// token reads a token, usually a bracket.
func (s *scanner) token() error {
	_, err := s.decoder.ReadToken()
	return s.check(err)
}

// scalar reads a string, number or literal and returns its JSON.
func (s *scanner) scalar() (jsontext.Value, error) {
	written, err := s.decoder.ReadValue()
	return written, s.check(err)
}

// value reads any value and returns its JSON.
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

// object reads an object. It calls member with the JSON of each name; member reads the value.
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

// array reads an array. It calls element for each element; element reads it.
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

// check converts an error of the decoder and enforces the limits.
func (s *scanner) check(err error) error {
	s.tokens++
	switch {
	case err != nil:
		return malformed(s.text, err)
	case s.limit > 0 && s.tokens > s.limit:
		return malformedAt(DefectTooMany, s.decoder.InputOffset(), "")
	case s.outer+s.decoder.StackDepth() > MaxDepth:
		return malformedAt(DefectTooDeep, s.decoder.InputOffset()-1, "")
	default:
		return nil
	}
}

// unquote returns the text of a JSON string.
func unquote(written jsontext.Value) (string, error) {
	var space [512]byte // most strings fit, and cost one copy
	text, err := jsontext.AppendUnquote(space[:0], written)
	if err != nil {
		if kind, at, _ := stringDefect(written[1:len(written)-1], 0); kind != "" {
			return "", malformedAt(kind, int64(1+at), "")
		}
		return "", malformed(written, err)
	}
	return string(text), nil
}

// isName reports whether the JSON string written is name.
func isName(written jsontext.Value, name string) bool {
	if len(written) > maxWritten(len(name)) {
		return false
	}
	var space [64]byte
	text, err := jsontext.AppendUnquote(space[:0], written)
	return err == nil && string(text) == name
}

func isContainer(kind jsontext.Kind) bool { return kind == '{' || kind == '[' }
