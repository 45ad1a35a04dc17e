package download

import (
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
)

// SetRefresh gives a handler, before its first attempt, somebody to ask for fresh addresses.
func (h *Handler) SetRefresh(refresh handler.Refresh) { h.refresh = refresh }

// Keys is where the images of an event want to be whose files have the extension ext.
func Keys(template Template, e event.Event, results []event.Result, ext string) []string {
	var keys []string
	for index, named := range namesOf(results) {
		keys = append(keys, template.keyOf(e, named, index, ext))
	}
	return keys
}

// WithHash is where an image goes whose key is taken.
func WithHash(key, sha256 string) string { return withHash(key, sha256) }

// DefaultTemplate is what the zero Template stands for.
const DefaultTemplate = defaultTemplate

// Written is the last segment of an address.
func Written(address string) string { return lastSegment(address) }
