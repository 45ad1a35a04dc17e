// Package imagefile inspects image files: their format, their size in pixels, and whether
// they are whole. It walks the structure of the file and never decodes pixels, so that a file
// that claims millions of pixels costs what any other does.
//
// It does not use image.DecodeConfig. The decoders behind that refuse variants that any
// viewer opens (12-bit JPEG, run-length BMP, floating-point TIFF, BigTIFF), and they do not
// notice that the end of a file is missing.
package imagefile

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/gabriel-vasile/mimetype"
)

var (
	// ErrUnknown reports a file that is not an image of a supported format, or only begins like one.
	ErrUnknown = errors.New("imagefile: not a png, jpeg, webp, gif, bmp, tiff or avif image")
	// ErrTruncated reports an image that is cut off.
	ErrTruncated = errors.New("imagefile: the image is cut off")
	// ErrNoEnd is an ErrTruncated for an image of which nothing is missing but its end marker, as
	// far as its structure shows: the file may be cut off, or its writer left the marker out.
	ErrNoEnd = fmt.Errorf("%w: its end marker is missing", ErrTruncated)
)

// Image describes an image file.
type Image struct {
	MediaType string // such as image/png
	Extension string // of a file name, such as .png
	// Width and Height are in pixels as the image is displayed, from 1 to 2147483647.
	Width, Height int
	// Orientation is how the stored pixels are turned for display, from 1 to 8 as in EXIF; 1 means not at all.
	// From 5 on the stored rows are the displayed columns. It is 1 for AVIF, whose decoders turn pixels themselves.
	Orientation int
}

// Pixels returns the area. It cannot overflow.
func (i Image) Pixels() int64 { return int64(i.Width) * int64(i.Height) }

// Inspect inspects the file of size bytes in r: png, jpeg, webp, gif, bmp, tiff (the size is
// that of its first page; also BigTIFF) or avif. It reads the file about once, in ascending
// order where the format allows that, and at most twice plus 8 MiB. It holds 64 KiB of it.
//
// Bytes after the end of the image are ignored. Errors are ErrUnknown, ErrTruncated, or what
// r returned. With ErrNoEnd the Image is complete.
func Inspect(r io.ReaderAt, size int64) (Image, error) {
	source := newSource(r, size)
	head := make([]byte, min(source.size, headBytes))
	if err := source.read(head, 0); err != nil {
		return Image{}, err
	}
	format, ok := formatOf(head)
	if !ok {
		return Image{}, ErrUnknown
	}
	found, err := format.inspect(source)
	if err != nil && !errors.Is(err, ErrNoEnd) {
		return Image{}, fmt.Errorf("%w (%s)", err, format.mediaType)
	}
	if !found.plausible() {
		return Image{}, fmt.Errorf("%w: its header says %d x %d pixels (%s)", ErrUnknown, found.width, found.height, format.mediaType)
	}
	image := Image{
		MediaType: format.mediaType, Extension: format.extension,
		Width: int(found.width), Height: int(found.height), Orientation: max(found.orientation, 1),
	}
	if image.Orientation > 4 {
		image.Width, image.Height = image.Height, image.Width
	}
	return image, err
}

// Orientation returns how the pixels of a JPEG, PNG or TIFF are turned for display, as in Image. It reads only what
// comes before the pixels of a JPEG or PNG: the beginning of a file is enough. What cannot be read is not turned.
func Orientation(r io.ReaderAt, size int64) int {
	s := newSource(r, size)
	head := make([]byte, min(s.size, headBytes))
	if err := s.read(head, 0); err != nil {
		return 1
	}
	format, _ := formatOf(head)
	orientation := 0
	switch format.mediaType {
	case "image/jpeg":
		orientation = jpegTurn(s)
	case "image/png":
		orientation = pngTurn(s)
	case "image/tiff":
		orientation = exifOrientation(s, 0, s.size)
	}
	return max(orientation, 1)
}

// dimensions are a width and a height in pixels as a header has them, not yet checked, and the
// orientation, 0 if the file has none.
type dimensions struct {
	width, height uint64
	orientation   int
}

func (d dimensions) plausible() bool {
	return d.width > 0 && d.width <= math.MaxInt32 && d.height > 0 && d.height <= math.MaxInt32
}

// unknown returns an ErrUnknown with the fault of a file that began like an image.
func unknown(fault string) error { return fmt.Errorf("%w: %s", ErrUnknown, fault) }

// truncated returns an ErrTruncated with what is missing.
func truncated(missing string) error { return fmt.Errorf("%w: %s", ErrTruncated, missing) }

// Describe returns what the first bytes of a file look like, for a sentence such as
// "it looks like text/html": a media type without parameters, "an empty file" or
// "unknown data". It looks at the first 3072 bytes at most; a few hundred are enough.
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
