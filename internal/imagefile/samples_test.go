package imagefile_test

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/color/palette"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/HugoSmits86/nativewebp"
	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
)

// Every sample shows the same picture of 37 x 23 pixels, but for the AVIF grid of 128 x 128.
const (
	sampleWidth  = 37
	sampleHeight = 23
)

// sample is a whole image file and what Inspect has to say about it.
type sample struct {
	name          string
	data          []byte
	mediaType     string
	extension     string
	width, height int
}

// samples are files from encoders of this language, and those in testdata, made
// from the same picture with Debian 12's tools:
//
//	cwebp -q 50 in.png -o lossy.webp; cwebp -q 50 alpha.png -o alpha.webp
//	img2webp -o animated.webp -d 100 -lossy -q 20 in.png in2.png
//	avifenc -s 10 --min 55 --max 63 in.png still.avif (and: in.png in2.png sequence.avif)
//	avifenc -s 10 --min 55 --max 63 --grid 2x2 grid.png grid.avif
//	tiffcp -8 -c lzw -r 8 in.tiff big.tiff; tiffcp -B -8 -c lzw -t -w 16 -l 16 in.tiff big-tiled.tiff
//	tiffcp -B -c lzw -r 4 in.tiff motorola.tiff; tiffcp -L -c lzw -t -w 16 -l 16 in.tiff tiled.tiff
//	cjpeg -quality 30 with -progressive, -arithmetic and -restart 1
func samples(t testing.TB) []sample {
	t.Helper()
	return append(encodedSamples(t), storedSamples(t)...)
}

func encodedSamples(t testing.TB) []sample {
	colour, grey, sixteen, indexed := pictures()
	return []sample{
		encode(t, "png rgb", "image/png", ".png", colour, png.Encode),
		encode(t, "png 16 bits", "image/png", ".png", sixteen, png.Encode),
		encode(t, "png palette", "image/png", ".png", indexed, png.Encode),
		encode(t, "jpeg colour", "image/jpeg", ".jpg", colour, encodeJPEG),
		encode(t, "jpeg grey", "image/jpeg", ".jpg", grey, encodeJPEG),
		encode(t, "gif", "image/gif", ".gif", indexed, encodeGIF),
		encode(t, "bmp rgb", "image/bmp", ".bmp", colour, bmp.Encode),
		encode(t, "bmp palette", "image/bmp", ".bmp", indexed, bmp.Encode),
		encode(t, "tiff", "image/tiff", ".tiff", colour, encodeTIFF),
		encode(t, "tiff palette", "image/tiff", ".tiff", indexed, encodeTIFF),
		encode(t, "webp lossless", "image/webp", ".webp", colour, encodeWebP),
	}
}

func pictures() (colour, grey, sixteen image.Image, indexed *image.Paletted) {
	bounds := image.Rect(0, 0, sampleWidth, sampleHeight)
	rgb, luma, deep := image.NewRGBA(bounds), image.NewGray(bounds), image.NewNRGBA64(bounds)
	indexed = image.NewPaletted(bounds, palette.Plan9)
	for y := range sampleHeight {
		for x := range sampleWidth {
			c := color.RGBA{uint8(x * 7), uint8(y * 11), uint8(x * y), 255}
			rgb.Set(x, y, c)
			luma.Set(x, y, c)
			deep.Set(x, y, c)
			indexed.Set(x, y, c)
		}
	}
	return rgb, luma, deep, indexed
}

func encodeJPEG(w io.Writer, m image.Image) error { return jpeg.Encode(w, m, nil) }
func encodeGIF(w io.Writer, m image.Image) error  { return gif.Encode(w, m, nil) }
func encodeTIFF(w io.Writer, m image.Image) error { return tiff.Encode(w, m, nil) }
func encodeWebP(w io.Writer, m image.Image) error { return nativewebp.Encode(w, m, nil) }

func encode(t testing.TB, name, mediaType, extension string, m image.Image, write func(io.Writer, image.Image) error) sample {
	t.Helper()
	var data bytes.Buffer
	if err := write(&data, m); err != nil {
		t.Fatalf("encode %s: %v", name, err)
	}
	return sample{name, data.Bytes(), mediaType, extension, sampleWidth, sampleHeight}
}

func storedSamples(t testing.TB) []sample {
	t.Helper()
	files, err := filepath.Glob("testdata/*.*")
	if err != nil || len(files) < 13 {
		t.Fatalf("testdata has %d samples, error %v", len(files), err)
	}
	types := map[string]string{".webp": "image/webp", ".avif": "image/avif", ".tiff": "image/tiff", ".jpg": "image/jpeg"}
	var list []sample
	for _, file := range files {
		extension := filepath.Ext(file)
		one := sample{filepath.Base(file), readFile(t, file), types[extension], extension, sampleWidth, sampleHeight}
		if one.name == "grid.avif" {
			one.width, one.height = 128, 128
		}
		list = append(list, one)
	}
	return list
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// named returns one of the samples.
func named(t testing.TB, name string) []byte {
	t.Helper()
	for _, sample := range samples(t) {
		if sample.name == name {
			return sample.data
		}
	}
	t.Fatalf("samples lack %s, want it", name)
	return nil
}

// join puts a file together from texts, bytes, and numbers of fixed size in the given order.
func join(order binary.AppendByteOrder, parts ...any) []byte {
	var data []byte
	for _, part := range parts {
		switch part := part.(type) {
		case string:
			data = append(data, part...)
		case []byte:
			data = append(data, part...)
		case uint8:
			data = append(data, part)
		case uint16:
			data = order.AppendUint16(data, part)
		case uint32:
			data = order.AppendUint32(data, part)
		case uint64:
			data = order.AppendUint64(data, part)
		case int32:
			data = order.AppendUint32(data, uint32(part))
		default:
			panic("join: not a part of a file")
		}
	}
	return data
}
