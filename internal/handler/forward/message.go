package forward

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
	"unicode/utf16"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/notification"
)

// Headers of requests with images. The signature covers a JSON text with the SHA-256 of each image, because signing a
// whole body would need all of it in memory.
const (
	headerEvent  = "Receiver-Event"  // the JSON text, in mode raw
	headerSigned = "Receiver-Signed" // where the signed JSON text is

	signedPart   = "part event"
	signedHeader = "header Receiver-Event"
)

// message is the content of a request.
type message struct {
	header http.Header
	signed []byte  // the text that is signed
	pieces []piece // of the body, in order
	images *images // sources of pieces; nil in mode event
}

// piece is a part of a body: a text, or an image that is opened when it is sent.
type piece struct {
	text  []byte
	image *image
}

func (p piece) size() int64 {
	if p.image != nil {
		return p.image.Bytes
	}
	return int64(len(p.text))
}

func (p piece) open(ctx context.Context) (io.ReadCloser, error) {
	if p.image != nil {
		return p.image.open(ctx)
	}
	return io.NopCloser(bytes.NewReader(p.text)), nil
}

func (m *message) length() (sum int64) {
	for _, p := range m.pieces {
		sum += p.size()
	}
	return sum
}

func (m *message) close() {
	if m.images != nil {
		m.images.close()
	}
}

// message returns the message of an event in the configured mode. The same event makes the same bytes, apart from links
// that are signed anew.
func (h *Handler) message(ctx context.Context, e event.Event) (*message, error) {
	if h.config.Mode == ModeEvent {
		return h.eventMessage(ctx, e)
	}
	found, err := h.images(ctx, e)
	if err != nil {
		return nil, err
	}
	compose := h.formMessage
	if h.config.Mode == ModeRaw {
		compose = h.rawMessage
	}
	made, err := compose(e, found)
	if err != nil {
		found.close()
		return nil, err
	}
	return made, nil
}

// eventMessage returns the JSON document, with links to the images if the bucket supports them.
func (h *Handler) eventMessage(ctx context.Context, e event.Event) (*message, error) {
	document, err := h.document(e)
	if err != nil {
		return nil, err
	}
	if err := h.link(ctx, e, document.Artifacts); err != nil {
		return nil, err
	}
	text, err := json.Marshal(document)
	if err != nil {
		return nil, documentFailure(err)
	}
	return &message{
		header: http.Header{"Content-Type": {"application/json"}},
		signed: text,
		pieces: []piece{{text: text}},
	}, nil
}

func (h *Handler) document(e event.Event) (notification.Event, error) {
	made, err := notification.New(e, h.redact)
	if err != nil {
		return made, documentFailure(err)
	}
	return made, nil
}

// documentFailure reports an event that cannot be made a document.
func documentFailure(err error) error {
	return handler.Fail(event.ReasonOther, fmt.Errorf("make the document of the event: %w", err))
}

// rawMessage returns the single image of the event, with the document in a header.
func (h *Handler) rawMessage(e event.Event, found *images) (*message, error) {
	one := found.list[0]
	text, err := json.Marshal(rawEvent{e.ID, e.Job, e.Names, e.Received.UTC(), rawArtifact{
		one.Index, one.Bytes, one.SHA256, one.MediaType, one.Width, one.Height,
	}})
	if err != nil {
		return nil, documentFailure(err)
	}
	text = ascii(text)
	return &message{
		header: http.Header{"Content-Type": {one.MediaType}, headerEvent: {string(text)}, headerSigned: {signedHeader}},
		signed: text,
		pieces: []piece{{image: one}},
		images: found,
	}, nil
}

// rawEvent is the short form of the document in the header of mode raw.
type rawEvent struct {
	ID  event.ID `json:"id"`
	Job string   `json:"job"`
	event.Names
	ReceivedAt time.Time   `json:"received_at"`
	Artifact   rawArtifact `json:"artifact"`
}

type rawArtifact struct {
	Index     int    `json:"index"`
	Bytes     int64  `json:"bytes"`
	SHA256    string `json:"sha256"`
	MediaType string `json:"media_type"`
	Width     int    `json:"width"`
	Height    int    `json:"height"`
}

// ascii escapes a JSON text for a header.
func ascii(text []byte) []byte {
	var plain []byte
	for _, r := range string(text) {
		switch high, low := utf16.EncodeRune(r); {
		case r > 0xffff:
			plain = fmt.Appendf(plain, `\u%04x\u%04x`, high, low)
		case r > '~':
			plain = fmt.Appendf(plain, `\u%04x`, r)
		default:
			plain = append(plain, byte(r))
		}
	}
	return plain
}
