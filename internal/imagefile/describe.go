package imagefile

import (
	"strings"

	"github.com/gabriel-vasile/mimetype"
)

// Describe says what the first bytes of a file look like, for a sentence such as
// "it looks like text/html": a media type without parameters, "an empty file" or
// "unknown data". A few hundred bytes are enough, more than 3072 are not looked at.
func Describe(head []byte) string {
	if len(head) == 0 {
		return "an empty file"
	}
	mediaType, _, _ := strings.Cut(mimetype.Detect(head).String(), ";")
	if mediaType == "application/octet-stream" {
		return "unknown data"
	}
	return mediaType
}
