package download

import (
	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
)

// SetRefresh sets the function that renews URLs. It must be called before the first attempt.
func (h *Handler) SetRefresh(refresh handler.Refresh) { h.refresh = refresh }

// ReplaceBucket replaces the bucket. It must be called before the first attempt.
func (h *Handler) ReplaceBucket(replace func(blobstore.Bucket) blobstore.Bucket) {
	h.bucket = replace(h.bucket)
}

// Keys returns the preferred keys of the results of an event, for files with the extension ext.
func Keys(template Template, e event.Event, results []event.Result, ext string) []string {
	var keys []string
	for index, named := range namesOf(results) {
		keys = append(keys, template.keyOf(e, named, index, ext))
	}
	return keys
}

// WithHash exports withHash.
func WithHash(key, sha256 string) string { return withHash(key, sha256) }

// DefaultTemplate is the pattern of the zero Template.
const DefaultTemplate = defaultTemplate

// Written exports lastSegment.
func Written(address string) string { return lastSegment(address) }
