package forward

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// formMessage returns a form: the document, then one part for each image in the order of the document.
func (h *Handler) formMessage(e event.Event, found *images) (*message, error) {
	document, err := h.document(e)
	if err != nil {
		return nil, err
	}
	document.Artifacts = document.Artifacts[:0]
	for _, image := range found.list {
		document.Artifacts = append(document.Artifacts, image.Artifact)
	}
	text, err := json.Marshal(document)
	if err != nil {
		return nil, documentFailure(err)
	}
	form := newForm(text)
	form.text(part("event", "", "application/json"), text)
	for _, image := range found.list {
		form.image(part("image", fileName(image), image.MediaType), image)
	}
	form.end()
	if form.err != nil {
		return nil, documentFailure(form.err)
	}
	return &message{
		header: http.Header{"Content-Type": {form.writer.FormDataContentType()}, headerSigned: {signedPart}},
		signed: text,
		pieces: form.pieces,
		images: found,
	}, nil
}

// form builds a multipart/form-data body as pieces: everything but the images is text, so the length of the body is known
// in advance.
type form struct {
	between bytes.Buffer
	writer  *multipart.Writer
	pieces  []piece
	err     error // the first one
}

// newForm returns a form whose boundary depends only on the document. No image can be made to contain it, because the
// document has the hash of every image.
func newForm(document []byte) *form {
	f := &form{}
	f.writer = multipart.NewWriter(&f.between)
	sum := sha256.Sum256(document)
	f.err = f.writer.SetBoundary(hex.EncodeToString(sum[:]))
	return f
}

func (f *form) text(header textproto.MIMEHeader, content []byte) {
	w, err := f.writer.CreatePart(header)
	if err == nil {
		_, err = w.Write(content)
	}
	f.keep(err)
}

func (f *form) image(header textproto.MIMEHeader, image *image) {
	_, err := f.writer.CreatePart(header)
	f.keep(err)
	f.flush()
	f.pieces = append(f.pieces, piece{image: image})
}

func (f *form) end() {
	f.keep(f.writer.Close())
	f.flush()
}

func (f *form) flush() {
	f.pieces = append(f.pieces, piece{text: bytes.Clone(f.between.Bytes())})
	f.between.Reset()
}

func (f *form) keep(err error) {
	if f.err == nil {
		f.err = err
	}
}

// part returns the header of a part (RFC 7578). Only files have a file name.
func part(name, file, mediaType string) textproto.MIMEHeader {
	disposition := fmt.Sprintf("form-data; name=%q", name)
	if file != "" {
		disposition += fmt.Sprintf("; filename=%q", file)
	}
	return textproto.MIMEHeader{"Content-Disposition": {disposition}, "Content-Type": {mediaType}}
}

// fileName returns a name such as 0.png. File names of the payload are not used in headers.
func fileName(image *image) string {
	_, kind, _ := strings.Cut(image.MediaType, "/")
	return fmt.Sprintf("%d.%s", image.Index, kind)
}
