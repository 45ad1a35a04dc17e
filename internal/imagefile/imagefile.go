// Package imagefile tells what kind of image a file is and how many pixels it
// has, by its headers alone: nothing is ever decoded, so a file that claims
// millions of pixels costs what any other does.
//
// The headers are read here and not by image.DecodeConfig, because the decoders
// behind that refuse variants that any viewer opens (12-bit JPEG, run-length
// BMP, floating-point TIFF, BigTIFF), read through metadata of any length on
// the way to the size, and do not notice that the end of a file is missing.
package imagefile

import (
	"errors"
	"fmt"
	"io"
	"math"
)

// ErrUnknown says that the file is no image of a kind that is known here, or
// only begins like one.
var ErrUnknown = errors.New("imagefile: not a png, jpeg, webp, gif, bmp, tiff or avif image")

// ErrTruncated says that the file is an image whose end is missing.
var ErrTruncated = errors.New("imagefile: the image is cut off")

// Image is what the headers of a file say about it.
type Image struct {
	MediaType string // such as image/png
	Extension string // of a file name, such as .png
	Width     int    // pixels, 1 to 2147483647, as coded: a turn for display is not applied
	Height    int    // pixels, 1 to 2147483647
}

// Pixels is the area. It cannot overflow.
func (i Image) Pixels() int64 { return int64(i.Width) * int64(i.Height) }

// Inspect reads the headers of the file of size bytes in r: png, jpeg, webp, gif,
// bmp, tiff (its first page; also BigTIFF) and avif. It looks at no more than
// 1 MiB of the file, wherever its headers point.
//
// It also looks for signs that the end of the file is missing, as far as each
// format has any; what is appended after the end is tolerated, and in doubt the
// file is taken to be whole. Errors are ErrUnknown, ErrTruncated or what r gave.
func Inspect(r io.ReaderAt, size int64) (Image, error) {
	source := &source{reader: r, size: size, budget: readBudget}
	head := make([]byte, min(max(size, 0), headBytes))
	if err := source.read(head, 0); err != nil {
		return Image{}, err
	}
	format, known := formatOf(head)
	if !known {
		return Image{}, ErrUnknown
	}
	area, err := format.inspect(source)
	if err != nil {
		return Image{}, fmt.Errorf("%w (%s)", err, format.mediaType)
	}
	if !area.plausible() {
		return Image{}, fmt.Errorf("%w: its header says %d x %d pixels (%s)", ErrUnknown, area.width, area.height, format.mediaType)
	}
	return Image{
		MediaType: format.mediaType, Extension: format.extension,
		Width: int(area.width), Height: int(area.height),
	}, nil
}

// area is a width and a height in pixels as a header has them, not checked yet.
type area struct{ width, height uint64 }

func (a area) plausible() bool {
	return a.width > 0 && a.width <= math.MaxInt32 && a.height > 0 && a.height <= math.MaxInt32
}

// unknown is an ErrUnknown that says what is wrong with a file that began like an image.
func unknown(fault string) error { return fmt.Errorf("%w: %s", ErrUnknown, fault) }

// truncated is an ErrTruncated that says what is missing.
func truncated(missing string) error { return fmt.Errorf("%w: %s", ErrTruncated, missing) }
