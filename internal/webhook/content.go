package webhook

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/problem"
)

// maxFormParts is the number of parts of a multipart body that are searched for JSON.
const maxFormParts = 20

// readContent reads the JSON of a request: its body without content coding, and out of the field of a form. Both have the
// limits of readBody. Beside an error, the body is as it came. The caller releases the body, also after an error.
func (e *Endpoint) readContent(r *http.Request) (*body, error) {
	b, err := e.readBody(r)
	if err != nil {
		return b, err
	}
	for _, step := range []func(*http.Request, *body) (*body, error){e.decode, e.extract} {
		next, err := step(r, b)
		if err != nil {
			return b, err
		}
		if next != b {
			b.release()
			b = next
		}
	}
	return b, nil
}

// decode undoes the content coding of a body. A body that is not coded, whatever its headers say, is returned itself.
func (e *Endpoint) decode(r *http.Request, b *body) (*body, error) {
	coding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding")))
	var reader io.Reader
	var err error
	switch {
	case startsJSON(b.bytes):
		return b, nil
	case coding == "gzip", coding == "x-gzip", bytes.HasPrefix(b.bytes, []byte("\x1f\x8b")):
		coding = "gzip"
		reader, err = gzip.NewReader(bytes.NewReader(b.bytes))
	case coding == "deflate" && isZlib(b.bytes):
		reader, err = zlib.NewReader(bytes.NewReader(b.bytes))
	case coding == "deflate": // some clients send it without the header of zlib
		reader = flate.NewReader(bytes.NewReader(b.bytes))
	case coding == "", coding == "identity":
		return b, nil
	default:
		return b, &problem.Error{
			Code: problem.CodeUnsupportedCoding, Detail: "The content coding is not supported. Send the body without one, or as gzip or deflate.",
		}
	}
	if err != nil {
		return b, notCoded(coding, err)
	}
	decoded := &body{budget: e.budget}
	if err := decoded.read(reader, int64(e.config.MaxBodyBytes)); err != nil {
		decoded.release()
		if problem.CodeOf(err) == problem.CodeIncomplete {
			err = notCoded(coding, err)
		}
		return b, err
	}
	return decoded, nil
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

// extract returns the JSON in the single field of a form that holds an object. A body that is not a form is returned itself.
func (e *Endpoint) extract(r *http.Request, b *body) (*body, error) {
	if startsJSON(b.bytes) {
		return b, nil
	}
	mediaType, parameters, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // "" for an invalid one
	var err error
	found := &body{budget: e.budget}
	switch mediaType {
	case "application/x-www-form-urlencoded":
		err = found.fromForm(b.bytes)
	case "multipart/form-data":
		err = found.fromMultipart(b.bytes, parameters["boundary"])
	default:
		return b, nil
	}
	if err != nil {
		found.release()
		return b, err
	}
	return found, nil
}

func noJSONInForm(err error) error {
	return &problem.Error{
		Code: problem.CodeMalformed, Err: err,
		Detail: "The body is a form without one JSON object in one of its fields. Send the JSON itself as the body, with Content-Type application/json.",
	}
}

// fromForm reads the field of a URL-encoded form that holds a JSON object.
func (b *body) fromForm(form []byte) error {
	for field := range bytes.SplitSeq(form, []byte("&")) {
		_, value, _ := bytes.Cut(field, []byte("="))
		if !startsEncodedObject(value) {
			continue
		}
		if err := b.acquire(2 * int64(len(value))); err != nil {
			return err
		}
		text, err := url.QueryUnescape(string(value))
		if err != nil || b.bytes != nil {
			return noJSONInForm(err)
		}
		b.bytes = []byte(text)
	}
	if b.bytes == nil {
		return noJSONInForm(nil)
	}
	return nil
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

// fromMultipart reads the part of a multipart form that holds a JSON object.
func (b *body) fromMultipart(form []byte, boundary string) error {
	reader := multipart.NewReader(bytes.NewReader(form), boundary)
	for range maxFormParts {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) && b.bytes != nil {
			return nil
		}
		if err != nil {
			return noJSONInForm(err)
		}
		content := &body{budget: b.budget}
		if err := content.read(part, int64(len(form))); err != nil {
			content.release()
			if problem.CodeOf(err) == problem.CodeUnavailable {
				return err
			}
			return noJSONInForm(err)
		}
		switch {
		case !startsJSON(content.bytes):
			content.release()
		case b.bytes != nil:
			content.release()
			return noJSONInForm(nil)
		default:
			*b = *content
		}
	}
	return noJSONInForm(nil)
}
