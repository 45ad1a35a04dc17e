// Package thumbnail makes thumbnails of images, one at a time, within a memory and time budget,
// and caches them in a folder of bounded size.
package thumbnail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"time"

	"golang.org/x/image/draw"
)

const (
	// Side is the longest side of a thumbnail, in pixels.
	Side = 320
	// maxFile is the maximum number of bytes that are read from a file.
	maxFile = 128 << 20
	// decodeTimeout bounds the decoding of one image, without the wait for its file. The largest images take one or two seconds.
	decodeTimeout = 10 * time.Second
	quality       = 82
)

// ErrUnfit means that the image cannot have a thumbnail: it is too large, broken, or of an unsupported format.
var ErrUnfit = errors.New("thumbnail: image not supported")

// Open opens the image of a thumbnail.
type Open func(ctx context.Context) (io.ReadCloser, error)

// Maker makes thumbnails. It is safe for use by many goroutines.
type Maker struct {
	cache *cache
	slot  chan struct{} // full while an image is decoded
}

// New returns a Maker that caches thumbnails in a folder, which it creates if necessary.
func New(folder string) (*Maker, error) {
	cache, err := openCache(folder)
	if err != nil {
		return nil, err
	}
	return &Maker{cache: cache, slot: make(chan struct{}, 1)}, nil
}

// Possible reports whether an image can have a thumbnail, as far as is known without reading it.
func (m *Maker) Possible(sum, mediaType string, width, height int) bool {
	switch mediaType {
	case "image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp", "image/tiff":
	default:
		return false
	}
	known, ok := m.cache.look(sum)
	return hasFewPixels(width, height) && !(ok && known.isNone())
}

func hasFewPixels(width, height int) bool {
	return width > 0 && height > 0 && height <= maxPixels/width
}

// Get returns the thumbnail of the image with this SHA-256 (64 hexadecimal digits) and its media
// type. It returns ErrUnfit if the image cannot have one, and caches that too.
func (m *Maker) Get(ctx context.Context, sum string, open Open) (content []byte, mediaType string, err error) {
	if !isSum(sum) {
		return nil, "", fmt.Errorf("%w: %q is no SHA-256", ErrUnfit, sum)
	}
	content, ok, err := m.cache.get(sum)
	if !ok {
		content, err = m.makeNext(ctx, sum, open)
	}
	if err != nil {
		return nil, "", err
	}
	return content, typeOf(content), nil
}

// makeNext makes a thumbnail when no other is being made, and caches it. Another call may have made it meanwhile.
func (m *Maker) makeNext(ctx context.Context, sum string, open Open) ([]byte, error) {
	select {
	case m.slot <- struct{}{}:
		defer func() { <-m.slot }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if content, ok, err := m.cache.get(sum); ok {
		return content, err
	}
	content, err := makeOf(ctx, open)
	switch {
	case errors.Is(err, ErrUnfit):
		return nil, errors.Join(err, m.cache.put(sum, []byte(none)))
	case err != nil:
		return nil, err
	}
	return content, m.cache.put(sum, content)
}

func makeOf(ctx context.Context, open Open) ([]byte, error) {
	file, err := open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return Make(ctx, file)
}

// Make reads an image and returns its thumbnail, as JPEG, or as PNG if it has transparent parts.
// ErrUnfit is about the image alone, never about the context or an error of the file.
func Make(ctx context.Context, file io.Reader) ([]byte, error) {
	return makeWithin(newSource(ctx, file, decodeTimeout))
}

func makeWithin(file *source) ([]byte, error) {
	large, orientation, err := pixelsOf(file)
	switch {
	case err != nil && file.failure != nil:
		return nil, file.failure
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnfit, err)
	}
	return encode(upright(shrink(large), orientation))
}

// pixelsOf decodes an image within the budget. A panic of a decoder is an error, because the file is untrusted.
func pixelsOf(file *source) (pixels image.Image, orientation int, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("the decoder failed: %v", cause)
		}
	}()
	p, err := inspect(file)
	if err != nil {
		return nil, 0, err
	}
	width, height := p.config.Width, p.config.Height
	if !hasFewPixels(width, height) {
		return nil, 0, fmt.Errorf("it has %d x %d pixels", width, height)
	}
	if memory := p.memory(); memory > maxMemory {
		return nil, 0, fmt.Errorf("its %d x %d pixels take %d bytes to decode", width, height, memory)
	}
	pixels, err = p.decode()
	return pixels, p.orientation, err
}

// shrink scales an image to the size of a thumbnail. A smaller one keeps its size.
func shrink(large image.Image) *image.RGBA {
	bounds := large.Bounds()
	width, height := bounds.Dx(), bounds.Dy()
	if longest := max(width, height); longest > Side {
		width, height = max(1, width*Side/longest), max(1, height*Side/longest)
	}
	small := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.ApproxBiLinear.Scale(small, small.Bounds(), large, bounds, draw.Src, nil)
	return small
}

// upright turns an image for display: orientation is from 1 to 8, as in EXIF.
func upright(stored *image.RGBA, orientation int) *image.RGBA {
	if orientation < 2 || orientation > 8 {
		return stored
	}
	width, height := stored.Bounds().Dx(), stored.Bounds().Dy()
	if orientation > 4 {
		width, height = height, width
	}
	shown := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			column, row := x, y
			if orientation > 4 {
				column, row = y, x
			}
			switch orientation { // the stored columns run backwards
			case 2, 3, 7, 8:
				column = stored.Bounds().Dx() - 1 - column
			}
			switch orientation { // the stored rows run backwards
			case 3, 4, 6, 7:
				row = stored.Bounds().Dy() - 1 - row
			}
			shown.SetRGBA(x, y, stored.RGBAAt(column, row))
		}
	}
	return shown
}

func encode(small *image.RGBA) ([]byte, error) {
	var out bytes.Buffer
	var err error
	if small.Opaque() {
		err = jpeg.Encode(&out, small, &jpeg.Options{Quality: quality})
	} else {
		err = png.Encode(&out, small)
	}
	return out.Bytes(), err
}

func typeOf(content []byte) string {
	if bytes.HasPrefix(content, []byte("\x89PNG")) {
		return "image/png"
	}
	return "image/jpeg"
}
