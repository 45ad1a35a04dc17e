package admin

import (
	"context"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// maxShownRejection is how much of a rejected body is shown, in bytes.
const maxShownRejection = 4 << 10

// rejection is a callback that was no event, as it is shown. What could be read of its body is
// redacted; of what is not JSON nobody can tell where a token stands, so nothing of it is shown.
type rejection struct {
	Received time.Time           `json:"received_at"`
	Code     event.RejectionCode `json:"code"`
	Detail   string              `json:"detail"`
	Faults   []event.Fault       `json:"faults,omitempty"` // everything that is wrong with JSON that is no event
	Bytes    int                 `json:"bytes"`
	Body     string              `json:"body,omitempty"` // the beginning, redacted
	Cut      bool                `json:"cut,omitempty"`  // there is more of it
}

func (a *Admin) rejections(ctx context.Context, limit int) ([]rejection, error) {
	found, err := a.deps.Rejections.Rejections(ctx, limit)
	if err != nil {
		return nil, storeFailure(err)
	}
	shown := make([]rejection, 0, len(found))
	for _, r := range found {
		one := rejection{Received: r.Received, Code: r.Code, Detail: r.Detail, Bytes: len(r.Body)}
		_, err := event.Decode(r.Body)
		if invalid, ok := errors.AsType[*event.InvalidError](err); ok {
			one.Faults = invalid.Faults
		}
		if text, err := a.deps.Redact(r.Body); err == nil {
			one.Body, one.Cut = beginning(string(text), maxShownRejection)
		}
		shown = append(shown, one)
	}
	return shown, nil
}

// beginning cuts a text to so many bytes of whole characters.
func beginning(text string, length int) (string, bool) {
	if len(text) <= length {
		return text, false
	}
	for length > 0 && !utf8.RuneStart(text[length]) {
		length--
	}
	return text[:length], true
}
