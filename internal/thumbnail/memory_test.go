package thumbnail_test

import (
	"bytes"
	"errors"
	"image"
	"image/color/palette"
	"image/gif"
	"io"
	"runtime"
	"testing"

	"github.com/HugoSmits86/nativewebp"
	"github.com/deepimage-receiver/receiver/internal/thumbnail"
	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
)

const mebibyte = 1 << 20

// allocated is what a call allocates, in bytes. Nothing else may be at work.
func allocated(do func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// What is too much for the budget is refused before anything is allocated for it. It is not parallel, because it measures what is allocated.
func TestMakeHoldsItsBudget(t *testing.T) {
	gray, full, half, inks := sampling{0x22}, sampling{0x11, 0x11, 0x11}, sampling{0x22, 0x11, 0x11}, sampling{0x11, 0x11, 0x11, 0x11}
	const some = 4 << 10 // of those that fit, which is enough for the decoder to ask for all that it needs
	rows := []struct {
		name string
		file []byte
		fits bool
	}{
		{"baseline", baseline(half, 5792, 5792)[:some], true},
		{"baseline in full colour", baseline(full, 5792, 5792)[:some], true},
		{"baseline of four inks", baseline(inks, 5792, 5792), false},
		{"baseline of four inks that fits", baseline(inks, 4096, 4096)[:some], true},
		{"progressive", progressive(half, 5792, 5792, 1), false},
		{"progressive that fits", progressive(half, 4224, 4224, 1)[:some], true},
		{"progressive in full colour", progressive(full, 5792, 5792, 1), false},
		{"progressive in full colour that just fits", progressive(full, 3080, 3080, 1)[:some], true},
		{"progressive in full colour that just fits no more", progressive(full, 3088, 3088, 1), false},
		{"progressive of four inks", progressive(inks, 5792, 5792, 1), false},
		{"progressive in gray", progressive(gray, 5200, 5200, 1)[:some], true},
		{"PNG", begun(t, pngHead(5792, 5792, 8, 6, 0)), true},
		{"PNG of 16 bits", pngHead(5792, 5792, 16, 6, 0), false},
		{"PNG of 16 bits that fits", begun(t, pngHead(4096, 4096, 16, 6, 0)), true},
		{"interlaced PNG", pngHead(5792, 5792, 8, 6, 1), false},
		{"interlaced PNG that fits", begun(t, pngHead(4096, 4096, 8, 6, 1)), true},
		{"PNG of one row", bomb(32*mebibyte, 1), false},
		{"TIFF", stripped(t, 4096, 4096, 64), true},
		{"TIFF of one strip that unpacks to much", stripped(t, 4096, 4096, 4096), false},
		{"lossy WebP", riff(lossy(5792, 5792, 5000)), true},
		{"lossy WebP in which much follows", riff(lossy(5792, 5792, 80*mebibyte)), false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var err error
			took := allocated(func() { _, err = thumbnail.Make(t.Context(), bytes.NewReader(row.file)) })
			t.Logf("%d MiB, error %v", took/mebibyte, err)
			switch {
			case row.fits && took > thumbnail.MaxMemory+mebibyte: // and the thumbnail
				t.Errorf("memory = %d MiB, want at most %d MiB", took/mebibyte, thumbnail.MaxMemory/mebibyte+1)
			case row.fits && took < 8*mebibyte:
				t.Errorf("memory = %d MiB, want at least 8 MiB", took/mebibyte)
			case !row.fits && (took > mebibyte || !errors.Is(err, thumbnail.ErrUnfit)):
				t.Errorf("took %d MiB, error %v", took/mebibyte, err)
			}
		})
	}
}

// What a decoder is thought to take is no less than what it takes. It is not parallel either.
func TestMemoryIsEnough(t *testing.T) {
	const width, height = 1200, 1000
	const fixed = 4 * mebibyte // what does not depend on the picture: tables, buffers and the thumbnail
	const slack = 2            // the part by which buffers grow faster where the race detector looks on
	painted := image.NewNRGBA(image.Rect(0, 0, width, height))
	for n := range painted.Pix {
		painted.Pix[n] = byte(n/width ^ n%131)
	}
	few := image.NewPaletted(painted.Rect, palette.Plan9[:16])
	for n := range few.Pix {
		few.Pix[n] = byte(n / 7 % 13)
	}
	type writer = func(io.Writer, image.Image) error
	asTIFF := func(o *tiff.Options) writer {
		return func(w io.Writer, m image.Image) error { return tiff.Encode(w, m, o) }
	}
	asGIF := func(w io.Writer, m image.Image) error { return gif.Encode(w, m, nil) }
	files := map[string][]byte{
		"baseline":             baseline(sampling{0x21, 0x11, 0x11}, width, height),
		"progressive":          progressive(sampling{0x41, 0x11, 0x11}, width, height, 1),
		"inks of two sizes":    progressive(sampling{0x22, 0x11, 0x11, 0x22}, width, height, 1),
		"PNG of 16 bits":       blank(t, width, height, 16, false),
		"interlaced PNG":       blank(t, width, height, 8, true),
		"GIF":                  written(t, few, asGIF),
		"BMP":                  written(t, painted, bmp.Encode),
		"TIFF of one strip":    written(t, painted, asTIFF(nil)),
		"TIFF, compressed":     written(t, painted, asTIFF(&tiff.Options{Compression: tiff.Deflate})),
		"lossless WebP":        written(t, painted, asWebP),
		"WebP of few colours":  written(t, few, asWebP),
		"lossy WebP":           riff(lossy(width, height, 8*mebibyte)),
		"WebP with opacity":    riff(extended(width, height), webpChunk("ALPH", make([]byte, 1+width*height+1)), lossy(width, height, 5000)),
		"WebP, opacity packed": riff(extended(width, height), webpChunk("ALPH", packedOpacity(t, painted)), lossy(width, height, 5000)),
	}
	for name, file := range files {
		t.Run(name, func(t *testing.T) {
			thought, err := thumbnail.Memory(t.Context(), file)
			if err != nil {
				t.Fatal(err)
			}
			took := allocated(func() { _, err = thumbnail.Make(t.Context(), bytes.NewReader(file)) })
			t.Logf("thought %d MiB, took %d MiB, error %v", thought/mebibyte, took/mebibyte, err)
			if took > thought+thought/slack+fixed {
				t.Errorf("memory = %d MiB, want at most the estimate of %d MiB", took/mebibyte, thought/mebibyte)
			}
		})
	}
}

func written(t testing.TB, picture image.Image, encode func(io.Writer, image.Image) error) []byte {
	t.Helper()
	var file bytes.Buffer
	if err := encode(&file, picture); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func asWebP(w io.Writer, picture image.Image) error { return nativewebp.Encode(w, picture, nil) }

// packedOpacity is the chunk of opacity that has the pixels of a lossless WebP, without the header that says their size.
func packedOpacity(t testing.TB, picture image.Image) []byte {
	t.Helper()
	const before, header = 12 + 8, 5
	file := written(t, picture, asWebP)
	content := append([]byte{1}, file[before+header:]...)
	return append(content, make([]byte, len(content)%2)...)
}
