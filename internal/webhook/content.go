package webhook

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/memory"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/deepimage-receiver/receiver/internal/sanitize"
)

// maxFormParts is the number of parts of a multipart body that are searched for JSON.
const maxFormParts = 20

// readContent reads the JSON of a request: its body without content coding, and out of the field of a form. Both have the
// limits of readBody. The body as it came stays beside it. Beside an error, the body is what the failed step has read.
func (e *Endpoint) readContent(r *http.Request, b *body) error {
	if err := e.readBody(r, b); err != nil {
		return err
	}
	for _, step := range []func(*http.Request, *body) ([]byte, error){e.decode, e.extract} {
		decoded, err := step(r, b)
		if err != nil {
			return err
		}
		if decoded == nil {
			continue
		}
		if b.original == nil {
			b.original = b.bytes
		}
		b.bytes = decoded
		b.lease.Shrink(b.size())
	}
	return nil
}

// originalOf returns the body of a request as it came, nil if b is that.
func originalOf(r *http.Request, b *body) *event.Original {
	if b.original == nil {
		return nil
	}
	return &event.Original{
		ContentEncoding: sanitize.Line(r.Header.Get("Content-Encoding"), maxHeaderShown),
		ContentType:     sanitize.Line(r.Header.Get("Content-Type"), maxHeaderShown),
		Body:            b.original,
	}
}

// maxHeaderShown bounds what is kept of a header, in bytes.
const maxHeaderShown = 200

// decode undoes the content coding of a body. It returns nil for a body that is not coded, whatever its headers say.
func (e *Endpoint) decode(r *http.Request, b *body) ([]byte, error) {
	coding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding")))
	var open func() (io.Reader, error)
	source := func() io.Reader { return bytes.NewReader(b.bytes) }
	switch {
	case startsJSON(b.bytes):
		return nil, nil
	case coding == "gzip", coding == "x-gzip", bytes.HasPrefix(b.bytes, []byte("\x1f\x8b")):
		coding = "gzip"
		open = func() (io.Reader, error) { return gzip.NewReader(source()) }
	case coding == "deflate" && isZlib(b.bytes):
		open = func() (io.Reader, error) { return zlib.NewReader(source()) }
	case coding == "deflate": // some clients send it without the header of zlib
		open = func() (io.Reader, error) { return flate.NewReader(source()), nil }
	case coding == "", coding == "identity":
		return nil, nil
	default:
		return nil, &problem.Error{
			Code: problem.CodeUnsupportedCoding, Detail: "The content coding is not supported. Send the body without one, or as gzip or deflate.",
		}
	}
	length, err := decodedLength(open, int64(e.config.MaxBodyBytes))
	if err != nil {
		return nil, notCoded(coding, err)
	}
	if length > int64(e.config.MaxBodyBytes) {
		return nil, tooLarge(int64(e.config.MaxBodyBytes))
	}
	decoded, err := e.allocate(r, b, length)
	if err != nil {
		return nil, err
	}
	reader, err := open()
	if err == nil {
		_, err = io.ReadFull(reader, decoded)
	}
	if err != nil {
		return nil, notCoded(coding, err)
	}
	return decoded, nil
}

// decodedLength returns the length of a coded body, or more than limit. It decodes twice rather than reserve memory that it may not need.
func decodedLength(open func() (io.Reader, error), limit int64) (int64, error) {
	reader, err := open()
	if err != nil {
		return 0, err
	}
	return io.Copy(io.Discard, io.LimitReader(reader, limit+1))
}

// allocate waits for the memory of n bytes beside those of a body.
func (e *Endpoint) allocate(r *http.Request, b *body, n int64) ([]byte, error) {
	part := e.deps.Memory.Large
	if b.part != part && n <= memory.SmallBytes {
		part = e.deps.Memory.Small
	}
	if err := e.acquire(r, b, part, b.size()+n); err != nil {
		return nil, err
	}
	return make([]byte, n), nil
}

func notCoded(coding string, err error) error {
	return &problem.Error{Code: problem.CodeMalformed, Detail: "The body is not valid " + coding + ". Send it without a content coding.", Err: err}
}

// isZlib reports whether text starts with the header of zlib (RFC 1950).
func isZlib(text []byte) bool {
	return len(text) > 1 && text[0]&0x0f == 8 && (int(text[0])<<8|int(text[1]))%31 == 0
}

// startsJSON reports whether text starts like an object, after white space and a byte order mark.
func startsJSON(text []byte) bool {
	text = bytes.TrimLeft(bytes.TrimPrefix(text, []byte("\xEF\xBB\xBF")), " \t\r\n")
	return len(text) > 0 && text[0] == '{'
}

// extract returns the JSON in the single field of a form that holds an object. It returns nil for a body that is not a form.
func (e *Endpoint) extract(r *http.Request, b *body) ([]byte, error) {
	if startsJSON(b.bytes) {
		return nil, nil
	}
	mediaType, parameters, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // "" for an invalid one
	switch mediaType {
	case "application/x-www-form-urlencoded":
		return e.takeField(r, b)
	case "multipart/form-data":
		return e.takePart(r, b, parameters["boundary"])
	default:
		return nil, nil
	}
}

func noJSONInForm(err error) error {
	return &problem.Error{
		Code: problem.CodeMalformed, Err: err,
		Detail: "The body is a form without one JSON object in one of its fields. Send the JSON itself as the body, with Content-Type application/json.",
	}
}

// takeField returns the field of a URL-encoded form that holds a JSON object.
func (e *Endpoint) takeField(r *http.Request, form *body) ([]byte, error) {
	var object []byte
	for field := range bytes.SplitSeq(form.bytes, []byte("&")) {
		_, value, _ := bytes.Cut(field, []byte("="))
		if !startsEncodedObject(value) {
			continue
		}
		if object != nil {
			return nil, noJSONInForm(nil)
		}
		object = value
	}
	if object == nil || !isEncoded(object) {
		return nil, noJSONInForm(nil)
	}
	found, err := e.allocate(r, form, int64(len(object)))
	if err != nil {
		return nil, err
	}
	text := found[:0]
	for i := 0; i < len(object); i++ {
		c := object[i : i+1]
		switch object[i] {
		case '+':
			c = []byte{' '}
		case '%':
			c, _ = hex.AppendDecode(nil, object[i+1:i+3]) // valid, see isEncoded
			i += 2
		}
		text = append(text, c...)
	}
	return text, nil
}

// isEncoded reports whether every percent sign in value begins an escape sequence.
func isEncoded(value []byte) bool {
	for {
		_, rest, found := bytes.Cut(value, []byte("%"))
		if !found {
			return true
		}
		var octet [1]byte
		if len(rest) < 2 {
			return false
		}
		if _, err := hex.Decode(octet[:], rest[:2]); err != nil {
			return false
		}
		value = rest[2:]
	}
}

// startsEncodedObject reports whether a URL-encoded value starts like an object.
func startsEncodedObject(value []byte) bool {
	const longest = len("%7B")
	for len(value) > 0 {
		next := value[:1]
		if value[0] == '%' {
			next = value[:min(len(value), longest)]
		}
		text, err := url.QueryUnescape(string(next))
		if err != nil || strings.Trim(text, " \t\r\n") != "" {
			return text == "{"
		}
		value = value[len(next):]
	}
	return false
}

// takePart returns the part of a multipart form that holds a JSON object.
func (e *Endpoint) takePart(r *http.Request, form *body, boundary string) ([]byte, error) {
	at, length, err := findPart(form.bytes, boundary)
	if err != nil {
		return nil, err
	}
	found, err := e.allocate(r, form, length)
	if err != nil {
		return nil, err
	}
	reader := multipart.NewReader(bytes.NewReader(form.bytes), boundary)
	part, err := reader.NextPart()
	for ; at > 0 && err == nil; at-- {
		part, err = reader.NextPart()
	}
	if err == nil {
		_, err = io.ReadFull(part, found)
	}
	if err != nil {
		return nil, noJSONInForm(err)
	}
	return found, nil
}

// findPart returns the number, from 0, and the length in bytes of the only part of a multipart form that holds a JSON object.
func findPart(form []byte, boundary string) (at int, length int64, err error) {
	at = -1
	reader := multipart.NewReader(bytes.NewReader(form), boundary)
	for n := 0; ; n++ {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || n == maxFormParts {
			return 0, 0, noJSONInForm(err)
		}
		var start [512]byte
		read, _ := io.ReadFull(part, start[:]) // NextPart finds what is wrong
		if !startsJSON(start[:read]) {
			continue
		}
		rest, _ := io.Copy(io.Discard, part)
		if at >= 0 {
			return 0, 0, noJSONInForm(nil)
		}
		at, length = n, int64(read)+rest
	}
	if at < 0 {
		return 0, 0, noJSONInForm(nil)
	}
	return at, length, nil
}
