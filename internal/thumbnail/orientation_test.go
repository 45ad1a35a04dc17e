package thumbnail_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/thumbnail"
)

// TestMakeAppliesTheOrientation is fault C6: a thumbnail shows the picture as it is displayed: upright.
func TestMakeAppliesTheOrientation(t *testing.T) {
	t.Parallel()
	const width, height = 3, 2
	red, blue := color.NRGBA{R: 255, A: 254}, color.NRGBA{B: 255, A: 254}
	topLeft, topRight := image.Pt(0, 0), image.Pt(1, 0)
	bottomLeft, bottomRight := image.Pt(0, 1), image.Pt(1, 1)
	rows := []struct {
		orientation uint16
		red, blue   image.Point // the corners at which the first and the last pixel of the stored first row are displayed
	}{
		{orientation: 1, red: topLeft, blue: topRight},
		{orientation: 2, red: topRight, blue: topLeft},
		{orientation: 3, red: bottomRight, blue: bottomLeft},
		{orientation: 4, red: bottomLeft, blue: bottomRight},
		{orientation: 5, red: topLeft, blue: bottomLeft},
		{orientation: 6, red: topRight, blue: bottomRight},
		{orientation: 7, red: bottomRight, blue: topRight},
		{orientation: 8, red: bottomLeft, blue: topLeft},
	}
	for _, row := range rows {
		t.Run(fmt.Sprint(row.orientation), func(t *testing.T) {
			t.Parallel()
			stored := image.NewNRGBA(image.Rect(0, 0, width, height))
			stored.SetNRGBA(0, 0, red)
			stored.SetNRGBA(width-1, 0, blue)
			for name, file := range map[string][]byte{
				"C6 PNG": pngWithOrientation(t, stored, row.orientation, false), "C6 PNG, behind the pixels": pngWithOrientation(t, stored, row.orientation, true),
				"C6 WebP": webpWithOrientation(t, stored, row.orientation),
			} {
				t.Run(name, func(t *testing.T) { checkShown(t, file, width, height, row.orientation, row.red, row.blue) })
			}
		})
	}
}

// checkShown wants the thumbnail of a stored width x height, with the colours at the corners.
func checkShown(t *testing.T, file []byte, width, height int, orientation uint16, red, blue image.Point) {
	t.Helper()
	content, err := thumbnail.Make(t.Context(), bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	shown, err := png.Decode(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	want := image.Pt(width, height)
	if orientation > 4 {
		want = image.Pt(height, width)
	}
	if got := shown.Bounds().Size(); got != want {
		t.Fatalf("size = %v, want %v", got, want)
	}
	last := shown.Bounds().Max.Sub(image.Pt(1, 1))
	if r, _, _, _ := shown.At(red.X*last.X, red.Y*last.Y).RGBA(); r < 0xf000 {
		t.Errorf("red at corner %v = %#x, want above 0xf000", red, r)
	}
	if _, _, b, _ := shown.At(blue.X*last.X, blue.Y*last.Y).RGBA(); b < 0xf000 {
		t.Errorf("blue at corner %v = %#x, want above 0xf000", blue, b)
	}
}

// pngWithOrientation encodes a picture with an eXIf chunk behind its header or behind its pixels.
func pngWithOrientation(t *testing.T, picture image.Image, orientation uint16, last bool) []byte {
	t.Helper()
	var file bytes.Buffer
	if err := png.Encode(&file, picture); err != nil {
		t.Fatal(err)
	}
	chunk := append([]byte("eXIf"), exif(orientation)...)
	end := 33 // of the header
	if last {
		end = file.Len() - 12 // the length of IEND
	}
	with := bytes.Clone(file.Bytes()[:end])
	with = binary.BigEndian.AppendUint32(with, uint32(len(chunk)-4))
	with = append(with, chunk...)
	with = binary.BigEndian.AppendUint32(with, crc32.ChecksumIEEE(chunk))
	return append(with, file.Bytes()[end:]...)
}

func exif(orientation uint16) []byte {
	data := []byte("II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00")
	return append(binary.LittleEndian.AppendUint32(data, uint32(orientation)), 0, 0, 0, 0)
}

// webpWithOrientation encodes a picture in the extended form, with its EXIF data behind the pixels.
func webpWithOrientation(t *testing.T, picture image.Image, orientation uint16) []byte {
	t.Helper()
	const exifFlag, alphaFlag, nameEnd = 0x08, 0x10, 12
	size := picture.Bounds().Size()
	canvas := []byte{exifFlag | alphaFlag, 0, 0, 0, byte(size.X - 1), 0, 0, byte(size.Y - 1), 0, 0}
	return riff(webpChunk("VP8X", canvas), written(t, picture, asWebP)[nameEnd:], webpChunk("EXIF", exif(orientation)))
}
