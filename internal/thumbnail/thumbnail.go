// Package thumbnail makes small pictures of large ones, one at a time, within a budget of
// memory, and keeps them in a folder within a bound.
package thumbnail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/gif" // a format that it reads
	"image/jpeg"
	"image/png"
	"io"

	_ "golang.org/x/image/bmp" // a format that it reads
	"golang.org/x/image/draw"
	_ "golang.org/x/image/tiff" // a format that it reads
	_ "golang.org/x/image/webp" // a format that it reads
)

const (
	// Side is the longest side of a thumbnail, in pixels.
	Side = 320
	// maxMemory is what a decoded picture may take, in bytes: 32 million pixels of 4 bytes.
	maxMemory = 128 << 20
	// maxFile is how much of a file is read, in bytes.
	maxFile = 128 << 20
	// MaxPixels is how many pixels a picture may have of which a thumbnail is made; those of more than 8 bits may have half of it.
	MaxPixels = maxMemory / 4
	quality   = 82
)

// ErrUnfit says that no thumbnail is made of the picture: it is too large, broken, or of a kind that is not read.
var ErrUnfit = errors.New("thumbnail: not of this picture")

// Open reads the picture of which a thumbnail is wanted.
type Open func(ctx context.Context) (io.ReadCloser, error)

// Maker makes thumbnails. It is safe for use by many goroutines.
type Maker struct {
	cache *cache
	turn  chan struct{} // holds a token while a picture is decoded
}

// New makes a maker that keeps thumbnails in a folder, which is made when it is missing.
func New(folder string) (*Maker, error) {
	cache, err := openCache(folder)
	if err != nil {
		return nil, err
	}
	return &Maker{cache: cache, turn: make(chan struct{}, 1)}, nil
}

// Get gives the thumbnail of the picture with this SHA-256 (64 hexadecimal digits) and its media
// type. It gives ErrUnfit when there can be none.
func (m *Maker) Get(ctx context.Context, sum string, open Open) (content []byte, mediaType string, err error) {
	if !isSum(sum) {
		return nil, "", fmt.Errorf("%w: %q is no SHA-256", ErrUnfit, sum)
	}
	if content, ok := m.cache.get(sum); ok {
		return content, typeOf(content), nil
	}
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return nil, "", ctx.Err()
	}
	if content, ok := m.cache.get(sum); ok {
		return content, typeOf(content), nil
	}
	file, err := open(ctx)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = file.Close() }()
	if content, err = Make(file); err != nil {
		return nil, "", err
	}
	return content, typeOf(content), m.cache.put(sum, content)
}

// Make reads a picture and gives its thumbnail, as JPEG, or as PNG if parts of it can be seen through.
func Make(file io.Reader) ([]byte, error) {
	var head bytes.Buffer
	limited := io.LimitReader(file, maxFile)
	config, _, err := image.DecodeConfig(io.TeeReader(limited, &head))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnfit, err)
	}
	if config.Width <= 0 || config.Height <= 0 || int64(config.Width)*int64(config.Height) > maxMemory/bytesPerPixel(config.ColorModel) {
		return nil, fmt.Errorf("%w: it has %d x %d pixels", ErrUnfit, config.Width, config.Height)
	}
	large, err := decode(io.MultiReader(&head, limited))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnfit, err)
	}
	return encode(shrink(large))
}

// decode turns a panic of a decoder, which reads a stranger's file, into an error.
func decode(file io.Reader) (picture image.Image, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("the decoder failed: %v", cause)
		}
	}()
	picture, _, err = image.Decode(file)
	return picture, err
}

func bytesPerPixel(model color.Model) int64 {
	switch model {
	case color.RGBA64Model, color.NRGBA64Model, color.Gray16Model, color.Alpha16Model:
		return 8
	default:
		return 4
	}
}

// shrink fits a picture into the square of a thumbnail; a smaller one stays as it is.
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
