package imagefile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/imagefile"
)

// Files as they are met in the world, named as in the list of faults (section C).
func TestInspectFilesMetInTheWorld(t *testing.T) {
	t.Parallel()
	jpeg, gif := named(t, "jpeg colour"), named(t, "gif")
	lossy, animated, still := named(t, "lossy.webp"), named(t, "animated.webp"), named(t, "still.avif")
	riff := func(file []byte, length uint32) []byte {
		file = slices.Clone(file)
		binary.LittleEndian.PutUint32(file[4:], length)
		return file
	}
	odd := slices.Concat([]byte("RIFF\x13\x00\x00\x00WEBPVP8L\x05\x00\x00\x00\x2f"), []byte{4, 0, 0, 0})
	rows := []struct {
		name          string
		data          []byte
		want          error
		width, height int
	}{
		{name: "C1 padding of 65,537 zeros", data: slices.Concat(jpeg, make([]byte, 65537)), width: sampleWidth, height: sampleHeight},
		{name: "C1 padding of 2 MiB", data: slices.Concat(jpeg, make([]byte, 2<<20)), width: sampleWidth, height: sampleHeight},
		{name: "C1 no end marker", data: jpeg[:len(jpeg)-2], want: imagefile.ErrNoEnd},
		{name: "C1 half of an end marker", data: jpeg[:len(jpeg)-1], want: imagefile.ErrNoEnd},
		{name: "C1 lines counted after the first scan", data: linesLater(jpeg), width: sampleWidth, height: sampleHeight},
		{name: "C1 half behind a whole thumbnail", data: withSegments(jpeg, segment(0xe1, jpeg))[:len(jpeg)+200], want: imagefile.ErrTruncated},
		{name: "C2 2 KiB behind the trailer", data: slices.Concat(gif, bytes.Repeat([]byte("tail "), 400)), width: sampleWidth, height: sampleHeight},
		{name: "C2 zeros behind the trailer", data: slices.Concat(gif, make([]byte, 5000)), width: sampleWidth, height: sampleHeight},
		{name: "C2 no trailer", data: gif[:len(gif)-1], want: imagefile.ErrNoEnd},
		{name: "C2 cut that ends in a zero", data: slices.Concat(gif[:len(gif)/2], []byte{0}), want: imagefile.ErrTruncated},
		{name: "C3 padding byte missing", data: odd, width: 5, height: 1},
		{name: "C3 RIFF length one too many", data: riff(lossy, uint32(len(lossy)-8+1)), width: sampleWidth, height: sampleHeight},
		{name: "C3 RIFF length one too few", data: riff(lossy, uint32(len(lossy)-8-1)), width: sampleWidth, height: sampleHeight},
		{name: "C3 RIFF length one too many, extended", data: riff(animated, uint32(len(animated)-8+1)), width: sampleWidth, height: sampleHeight},
		{name: "C3 RIFF length of a stream", data: riff(lossy, 0xffffffff), width: sampleWidth, height: sampleHeight},
		{name: "C3 RIFF length of a stream, even", data: riff(animated, 0xfffffffe), width: sampleWidth, height: sampleHeight},
		{name: "C3 RIFF length 0", data: riff(animated, 0), width: sampleWidth, height: sampleHeight},
		{name: "C3 RIFF length 0, noise behind", data: slices.Concat(riff(animated, 0), []byte("<!-- cached on Tuesday -->")), width: sampleWidth, height: sampleHeight},
		{name: "C3 half, RIFF length 0", data: riff(lossy, 0)[:len(lossy)/2], want: imagefile.ErrTruncated},
		{name: "C3 half, RIFF length of the half", data: riff(lossy, uint32(len(lossy)/2-8))[:len(lossy)/2], want: imagefile.ErrTruncated},
		{name: "C4 first strip beyond the end", data: stripsTIFF(1<<20, 90), want: imagefile.ErrTruncated},
		{name: "C4 last strip beyond the end", data: stripsTIFF(90, 1<<20), want: imagefile.ErrTruncated},
		{name: "C4 next directory beyond the end", data: nextTIFF(1 << 20), want: imagefile.ErrTruncated},
		{name: "C4 next directory is the first", data: nextTIFF(8), width: 5, height: 4},
		{name: "C4 1,100 fields", data: wideTIFF(1100), width: 5, height: 4},
		{name: "C5 general brand", data: bytes.Replace(still, []byte("ftypavif"), []byte("ftypmif1"), 1), width: sampleWidth, height: sampleHeight},
		{name: "C5 general brands alone", data: bytes.ReplaceAll(bytes.Replace(still, []byte("ftypavif"), []byte("ftypmif1"), 1), []byte("avifmif1"), []byte("mif1mif1")), width: sampleWidth, height: sampleHeight},
		{name: "C5 general brand of another codec", data: bytes.ReplaceAll(bytes.ReplaceAll(still, []byte("avif"), []byte("mif1")), []byte("av01"), []byte("hvc1")), want: imagefile.ErrUnknown},
		{name: "C5 box to the end, half", data: toTheEnd(still)[:len(still)-len(still)/8], want: imagefile.ErrTruncated},
		{name: "C5 box to the end, whole", data: toTheEnd(still), width: sampleWidth, height: sampleHeight},
		{name: "many chunks of pixels, half", data: manyChunks(20_000)[:120_000], want: imagefile.ErrTruncated},
		{name: "many chunks of pixels", data: manyChunks(20_000), width: 5, height: 5},
		{name: "pixels with a wrong checksum", data: builtPNG(5, 5, "\x00\x00\x00\x01IDATx\x35\xaf\x06\x1e", pngTrailer), want: imagefile.ErrTruncated},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, err := inspect(row.data)
			if !errors.Is(err, row.want) {
				t.Fatalf("error = %v, want %v", err, row.want)
			}
			if row.want == nil && (got.Width != row.width || got.Height != row.height) {
				t.Errorf("got %d x %d, want %d x %d", got.Width, got.Height, row.width, row.height)
			}
		})
	}
}

// linesLater is a JPEG whose frame header has no height, and a DNL segment after its scan.
func linesLater(jpeg []byte) []byte {
	file := slices.Clone(jpeg)
	at := bytes.Index(file, []byte{0xff, 0xc0})
	height := slices.Clone(file[at+5 : at+7])
	copy(file[at+5:], []byte{0, 0})
	return slices.Concat(file[:len(file)-2], []byte{0xff, 0xdc, 0, 4}, height, []byte{0xff, 0xd9})
}

// stripsTIFF has two strips of 10 bytes at the offsets; the file has 100 bytes.
func stripsTIFF(first, second uint32) []byte {
	file := join(binary.LittleEndian, "II*\x00", uint32(8), uint16(4),
		uint16(256), uint16(3), uint32(1), uint32(5),
		uint16(257), uint16(3), uint32(1), uint32(4),
		uint16(273), uint16(4), uint32(2), uint32(62),
		uint16(279), uint16(3), uint32(2), uint16(10), uint16(10),
		uint32(0), first, second)
	return append(file, make([]byte, 100-len(file))...)
}

// nextTIFF has one strip and names a second directory.
func nextTIFF(offset uint32) []byte {
	return join(binary.LittleEndian, "II*\x00", uint32(8), uint16(4),
		uint16(256), uint16(3), uint32(1), uint32(5),
		uint16(257), uint16(3), uint32(1), uint32(4),
		uint16(273), uint16(4), uint32(1), uint32(62),
		uint16(279), uint16(3), uint32(1), uint32(1),
		offset, make([]byte, 20))
}

// wideTIFF has as many fields in its directory as given.
func wideTIFF(fields int) []byte {
	file := join(binary.LittleEndian, "II*\x00", uint32(8), uint16(fields),
		uint16(256), uint16(3), uint32(1), uint32(5),
		uint16(257), uint16(3), uint32(1), uint32(4))
	for range fields - 2 {
		file = append(file, join(binary.LittleEndian, uint16(60000), uint16(4), uint32(1), uint32(7))...)
	}
	return append(file, 0, 0, 0, 0)
}

// toTheEnd is the file with its last box, which holds the pixels, of length 0: it goes on to the end.
func toTheEnd(avif []byte) []byte {
	file := slices.Clone(avif)
	at := bytes.LastIndex(file, []byte("mdat"))
	copy(file[at-4:], []byte{0, 0, 0, 0})
	return file
}

// manyChunks is a PNG whose pixels are in as many chunks of one byte.
func manyChunks(count int) []byte {
	chunk := join(binary.BigEndian, "IDATx")
	chunk = join(binary.BigEndian, uint32(1), chunk, crc32.ChecksumIEEE(chunk))
	return builtPNG(5, 5, bytes.Repeat(chunk, count), pngTrailer)
}

// Width and height are those of the image as displayed.
func TestInspectAppliesTheOrientation(t *testing.T) {
	t.Parallel()
	exif := func(order binary.AppendByteOrder, mark string, orientation uint16) []byte {
		return join(order, mark, uint16(42), uint32(8), uint16(1), uint16(274), uint16(3), uint32(1), orientation, uint16(0), uint32(0))
	}
	intel, motorola := exif(binary.LittleEndian, "II", 6), exif(binary.BigEndian, "MM", 8)
	jpeg, png := named(t, "jpeg colour"), named(t, "png rgb")
	inPNG := func(data []byte) []byte {
		chunk := slices.Concat([]byte("eXIf"), data)
		return slices.Concat(png[:33], join(binary.BigEndian, uint32(len(data)), chunk, crc32.ChecksumIEEE(chunk)), png[33:])
	}
	webp := slices.Concat([]byte("RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x08\x00\x00\x00\x24\x00\x00\x16\x00\x00VP8L\x05\x00\x00\x00\x2f\x24\x80\x05\x00\x00EXIF"),
		join(binary.LittleEndian, uint32(len(intel)), intel))
	rows := []struct {
		name          string
		data          []byte
		width, height int
		orientation   int
	}{
		{name: "jpeg", data: withSegments(jpeg, segment(0xe1, slices.Concat([]byte("Exif\x00\x00"), intel))), width: sampleHeight, height: sampleWidth, orientation: 6},
		{name: "jpeg, upside down", data: withSegments(jpeg, segment(0xe1, slices.Concat([]byte("Exif\x00\x00"), exif(binary.LittleEndian, "II", 3)))), width: sampleWidth, height: sampleHeight, orientation: 3},
		{name: "jpeg, impossible", data: withSegments(jpeg, segment(0xe1, slices.Concat([]byte("Exif\x00\x00"), exif(binary.LittleEndian, "II", 9)))), width: sampleWidth, height: sampleHeight, orientation: 1},
		{name: "jpeg, data cut off", data: withSegments(jpeg, segment(0xe1, slices.Concat([]byte("Exif\x00\x00"), intel[:14]))), width: sampleWidth, height: sampleHeight, orientation: 1},
		{name: "jpeg, other metadata", data: withSegments(jpeg, segment(0xe1, []byte("http://ns.adobe.com/xap/1.0/\x00"))), width: sampleWidth, height: sampleHeight, orientation: 1},
		{name: "png", data: inPNG(motorola), width: sampleHeight, height: sampleWidth, orientation: 8},
		{name: "png, written as in jpeg", data: inPNG(slices.Concat([]byte("Exif\x00\x00"), motorola)), width: sampleHeight, height: sampleWidth, orientation: 8},
		{name: "webp", data: webp, width: sampleHeight, height: sampleWidth, orientation: 6},
		{name: "none", data: jpeg, width: sampleWidth, height: sampleHeight, orientation: 1},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, err := inspect(row.data)
			if err != nil || got.Width != row.width || got.Height != row.height || got.Orientation != row.orientation {
				t.Errorf("got %d x %d, orientation %d, error %v; want %d x %d, orientation %d",
					got.Width, got.Height, got.Orientation, err, row.width, row.height, row.orientation)
			}
			if got.MediaType == "image/webp" {
				return // its orientation comes after its pixels
			}
			if got := imagefile.Orientation(bytes.NewReader(row.data), 8<<20); got != row.orientation {
				t.Errorf("orientation = %d, want %d", got, row.orientation)
			}
		})
	}
}
