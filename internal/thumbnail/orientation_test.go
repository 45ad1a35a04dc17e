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
			content, err := thumbnail.Make(t.Context(), bytes.NewReader(pngWithOrientation(t, stored, row.orientation)))
			if err != nil {
				t.Fatal(err)
			}
			shown, err := png.Decode(bytes.NewReader(content))
			if err != nil {
				t.Fatal(err)
			}
			want := image.Pt(width, height)
			if row.orientation > 4 {
				want = image.Pt(height, width)
			}
			if got := shown.Bounds().Size(); got != want {
				t.Fatalf("size = %v, want %v", got, want)
			}
			last := shown.Bounds().Max.Sub(image.Pt(1, 1))
			if r, _, _, _ := shown.At(row.red.X*last.X, row.red.Y*last.Y).RGBA(); r < 0xf000 {
				t.Errorf("red at corner %v = %#x, want above 0xf000", row.red, r)
			}
			if _, _, b, _ := shown.At(row.blue.X*last.X, row.blue.Y*last.Y).RGBA(); b < 0xf000 {
				t.Errorf("blue at corner %v = %#x, want above 0xf000", row.blue, b)
			}
		})
	}
}

// pngWithOrientation encodes a picture with an eXIf chunk behind its header.
func pngWithOrientation(t *testing.T, picture image.Image, orientation uint16) []byte {
	t.Helper()
	var file bytes.Buffer
	if err := png.Encode(&file, picture); err != nil {
		t.Fatal(err)
	}
	chunk := []byte("eXIfII*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00")
	chunk = binary.LittleEndian.AppendUint32(chunk, uint32(orientation))
	chunk = append(chunk, 0, 0, 0, 0)
	const headerEnd = 33
	with := bytes.Clone(file.Bytes()[:headerEnd])
	with = binary.BigEndian.AppendUint32(with, uint32(len(chunk)-4))
	with = append(with, chunk...)
	with = binary.BigEndian.AppendUint32(with, crc32.ChecksumIEEE(chunk))
	return append(with, file.Bytes()[headerEnd:]...)
}
