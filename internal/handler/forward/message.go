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

// Headers of calls that carry images. The signature is over a JSON text that holds the SHA-256 of
// each of them, because who signs a whole body would have to hold it.
const (
	headerEvent  = "Receiver-Event"  // the JSON text, in mode raw
	headerSigned = "Receiver-Signed" // where the JSON text is that is signed

	signedPart   = "part event"
	signedHeader = "header Receiver-Event"
)

// message is what a call carries.
type message struct {
	header http.Header
	signed []byte  // what the signature is over
	pieces []piece // of the body, in their order
	images *images // where some of the pieces are; nil in mode event
}

// piece is a part of a body: a text, or an image that is read when its turn comes.
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

// message makes what the mode says of an event. The same event gives the same bytes, unless an
// address in it is signed anew.
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

// eventMessage is the document, with links to the images where the bucket can sign them.
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
		return nil, cannotBeTold(err)
	}
	return &message{
		header: http.Header{"Content-Type": {"application/json"}},
		signed: text,
		pieces: []piece{{text: text}},
	}, nil
}

func (h *Handler) document(e event.Event) (notification.Event, error) {
	made, err := notification.Of(e, h.redact)
	if err != nil {
		return made, cannotBeTold(err)
	}
	return made, nil
}

// cannotBeTold is for an event that makes no document. It stays as it is.
func cannotBeTold(err error) error {
	return handler.Fail(event.ReasonOther, fmt.Errorf("the event cannot be told of: %w", err))
}

// rawMessage is the one image that there is, with what is told of it in a header.
func (h *Handler) rawMessage(e event.Event, found *images) (*message, error) {
	one := found.list[0]
	text, err := json.Marshal(rawEvent{e.ID, e.Job, e.Received.UTC(), rawArtifact{
		one.Index, one.Bytes, one.SHA256, one.MediaType, one.Width, one.Height,
	}})
	if err != nil {
		return nil, cannotBeTold(err)
	}
	text = ascii(text)
	return &message{
		header: http.Header{"Content-Type": {one.MediaType}, headerEvent: {string(text)}, headerSigned: {signedHeader}},
		signed: text,
		pieces: []piece{{image: one}},
		images: found,
	}, nil
}

// rawEvent is what the header of a call in the mode raw says: of the document what is short.
type rawEvent struct {
	ID         event.ID    `json:"id"`
	Job        string      `json:"job"`
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

// ascii writes a JSON text so that a header can carry it.
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
