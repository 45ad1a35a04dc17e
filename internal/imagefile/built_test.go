package imagefile_test

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
)

// Files put together by hand, for variants that no encoder at hand writes.

// builtPNG is a signature, IHDR with a sound checksum, and what follows.
func builtPNG(width, height uint32, rest ...any) []byte {
	header := join(binary.BigEndian, "IHDR", width, height, "\x08\x02\x00\x00\x00")
	head := join(binary.BigEndian, "\x89PNG\r\n\x1a\n", uint32(13), header, crc32.ChecksumIEEE(header))
	return append(head, join(binary.BigEndian, rest...)...)
}

// pngPixels is a chunk of pixels, with a sound checksum and no data.
const pngPixels = "\x00\x00\x00\x00IDAT\x35\xaf\x06\x1e"

const pngTrailer = "\x00\x00\x00\x00IEND\xae\x42\x60\x82"

// builtBMP has a header of 40 bytes and as many bytes of pixels as given.
func builtBMP(width, height int32, bits uint16, compression, length uint32, pixels int) []byte {
	return join(binary.LittleEndian, "BM", uint32(0), uint32(0), uint32(54),
		uint32(40), width, height, uint16(1), bits, compression, length, uint32(0), uint32(0), uint32(0), uint32(0),
		make([]byte, pixels))
}

// os2BMP has the header of 12 bytes, a palette of two colours, and a row of one byte, padded to four.
func os2BMP() []byte {
	return join(binary.LittleEndian, "BM", uint32(36), uint32(0), uint32(32),
		uint32(12), uint16(5), uint16(1), uint16(1), uint16(1), "\x00\x00\x00\xff\xff\xff", "\x80\x00\x00\x00")
}

// directoryFirst is a TIFF of floating-point samples whose directory comes before
// its two strips. Width and height are of type LONG and SHORT, and not in order.
func directoryFirst() []byte {
	const strips, counts, pixels = 86, 94, 102
	return join(binary.BigEndian, "MM\x00*", uint32(8), uint16(6),
		uint16(257), uint16(3), uint32(1), uint16(4), uint16(0), // height
		uint16(256), uint16(4), uint32(1), uint32(5), // width
		uint16(258), uint16(3), uint32(1), uint16(32), uint16(0),
		uint16(339), uint16(3), uint32(1), uint16(3), uint16(0), // floating point
		uint16(273), uint16(4), uint32(2), uint32(strips),
		uint16(279), uint16(4), uint32(2), uint32(counts),
		uint32(0), // no further directory
		uint32(pixels), uint32(pixels+40), uint32(40), uint32(40),
		make([]byte, 80))
}

// isoBox is a box of an ISO base media file.
func isoBox(kind string, parts ...any) []byte {
	content := join(binary.BigEndian, parts...)
	return join(binary.BigEndian, uint32(len(content)+8), kind, content)
}

// longBox is one whose length has 64 bits.
func longBox(kind string, parts ...any) []byte {
	content := join(binary.BigEndian, parts...)
	return join(binary.BigEndian, uint32(1), kind, uint64(len(content)+16), content)
}

// builtAVIF uses the wide forms: item numbers of 32 bits, property positions of
// 15 bits, lengths of 64 bits; brands of HEIF with avif among them; pixels
// before the description. Item 7 is the thumbnail, item 70000 the image.
func builtAVIF() []byte {
	version1 := "\x01\x00\x00\x00"
	return join(binary.BigEndian,
		isoBox("ftyp", "mif1\x00\x00\x00\x00mif1avif"),
		longBox("mdat", "pixels"),
		longBox("meta", uint32(0),
			isoBox("pitm", version1, uint32(70000)),
			avifProperties("\x01\x00\x00\x01",
				uint32(7), uint8(1), uint16(0x8002),
				uint32(70000), uint8(2), uint16(0x8001), uint16(3))))
}

// idatAVIF keeps its pixels in the description, which goes on to the end of the file.
func idatAVIF() []byte {
	meta := join(binary.BigEndian, uint32(0),
		isoBox("pitm", uint32(0), uint16(1)),
		avifProperties("\x00\x00\x00\x00", uint16(1), uint8(1), uint8(0x83), uint16(2), uint8(0)),
		isoBox("idat", "pixels"))
	return join(binary.BigEndian, isoBox("ftyp", "avif\x00\x00\x00\x00avif"), uint32(0), "meta", meta)
}

// avifOf has pixels, and a description made of parts.
func avifOf(parts ...any) []byte {
	return join(binary.BigEndian, isoBox("ftyp", "avif\x00\x00\x00\x00avif"), isoBox("mdat", "pixels"), isoBox("meta", parts...))
}

// avifProperties are two sizes, 1 x 1 and 900 x 700, the second after some
// colour, and a table for two items.
func avifProperties(versionAndFlags string, table ...any) []byte {
	return isoBox("iprp",
		isoBox("ipco",
			isoBox("colr", strings.Repeat("x", 100)),
			isoBox("ispe", uint32(0), uint32(1), uint32(1)),
			isoBox("ispe", uint32(0), uint32(900), uint32(700))),
		isoBox("ipma", versionAndFlags, uint32(2), join(binary.BigEndian, table...)))
}

// withSegments puts segments between the start of a JPEG and the rest.
func withSegments(jpeg []byte, segments ...[]byte) []byte {
	data := append([]byte{}, jpeg[:2]...)
	for _, segment := range segments {
		data = append(data, segment...)
	}
	return append(data, jpeg[2:]...)
}

// segment is a JPEG segment.
func segment(marker uint8, content []byte) []byte {
	return join(binary.BigEndian, uint8(0xff), marker, uint16(len(content)+2), content)
}
