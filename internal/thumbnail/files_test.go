package thumbnail_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"testing"
)

// Files put together by hand, small ones that say they have many pixels, for variants that no
// encoder at hand writes. Their coded pixels are nothing but zeros.

// sampling is how many blocks a component of a JPEG has in a unit: two digits, such as 0x22.
type sampling []byte

func (s sampling) blocks(width, height int) (blocks int) {
	across, down := 8*int(s[0]>>4), 8*int(s[0]&15)
	units := ((width + across - 1) / across) * ((height + down - 1) / down)
	for _, component := range s {
		blocks += units * int(component>>4) * int(component&15)
	}
	return blocks
}

func segment(marker byte, content ...byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{0xff, marker}, uint16(len(content)+2)), content...)
}

// jpegHead is everything before the first scan: a table of ones, a frame, and two Huffman tables in
// which the code 0 is a DC difference of none, and this symbol in place of AC values.
func jpegHead(frame byte, s sampling, width, height int, ac byte) []byte {
	header := binary.BigEndian.AppendUint16([]byte{8}, uint16(height))
	header = append(binary.BigEndian.AppendUint16(header, uint16(width)), byte(len(s)))
	for n, component := range s {
		header = append(header, byte(n+1), component, 0)
	}
	huffman := func(class, symbol byte) []byte {
		return segment(0xc4, append(append([]byte{class, 1}, make([]byte, 15)...), symbol)...)
	}
	return slices.Concat([]byte("\xff\xd8"), segment(0xee, []byte("Adobe\x00\x64\x00\x00\x00\x00\x01")...),
		segment(0xdb, append([]byte{0}, bytes.Repeat([]byte{1}, 64)...)...),
		segment(frame, header...), huffman(0x00, 0), huffman(0x10, ac))
}

// scan is one pass over all components, or over the first only, with so many bits.
func scan(s sampling, first, last byte, bits int) []byte {
	header := []byte{byte(len(s))}
	for n := range s {
		header = append(header, byte(n+1), 0)
	}
	return append(segment(0xda, append(header, first, last, 0)...), make([]byte, (bits+7)/8)...)
}

// baseline is a JPEG of the ordinary kind: of each block a DC difference of none, and no AC values.
func baseline(s sampling, width, height int) []byte {
	return slices.Concat(jpegHead(0xc0, s, width, height, 0), scan(s, 0, 63, 2*s.blocks(width, height)), []byte("\xff\xd9"))
}

// progressive is a JPEG with one scan of DC values, and so many empty ones of the AC values of the first component.
func progressive(s sampling, width, height, scans int) []byte {
	const endOfBands, run, code = 0xe0, 1 << 14, 1 + 14
	file := append(jpegHead(0xc2, s, width, height, endOfBands), scan(s, 0, 0, s.blocks(width, height))...)
	empty := scan(s[:1], 1, 63, code*(s.blocks(width, height)/run+1))
	return append(append(file, bytes.Repeat(empty, scans)...), "\xff\xd9"...)
}

func pngChunk(kind string, content []byte) []byte {
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(content)))
	body := append([]byte(kind), content...)
	return binary.BigEndian.AppendUint32(append(chunk, body...), crc32.ChecksumIEEE(body))
}

// pngHead is the header of a PNG, and nothing behind it.
func pngHead(width, height uint32, depth, colours, interlaced byte) []byte {
	header := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, width), height)
	return append([]byte("\x89PNG\r\n\x1a\n"), pngChunk("IHDR", append(header, depth, colours, 0, 0, interlaced))...)
}

// bomb is the header of a PNG that says it has so many pixels, and nothing behind it.
func bomb(width, height uint32) []byte { return pngHead(width, height, 8, 6, 0) }

// pass is which pixels come in one pass of an interlaced PNG: the first, and how far the next are.
type pass struct{ x, y, across, down int }

func passes(interlaced bool) []pass {
	if !interlaced {
		return []pass{{0, 0, 1, 1}}
	}
	return []pass{{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}
}

// blank is a PNG of zeros, in colour with a measure of opacity.
func blank(t testing.TB, width, height int, depth byte, interlaced bool) []byte {
	t.Helper()
	var pixels []byte
	for _, p := range passes(interlaced) {
		row := 1 + (width-p.x+p.across-1)/p.across*4*int(depth)/8
		pixels = append(pixels, make([]byte, row*((height-p.y+p.down-1)/p.down))...)
	}
	head := pngHead(uint32(width), uint32(height), depth, 6, byte(len(passes(interlaced))/7))
	return slices.Concat(head, pngChunk("IDAT", packed(t, pixels)), pngChunk("IEND", nil))
}

// begun is a PNG that ends after a few of its zeros.
func begun(t testing.TB, head []byte) []byte {
	t.Helper()
	return append(head, pngChunk("IDAT", packed(t, make([]byte, 100_000)))...)
}

func packed(t testing.TB, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	writer := zlib.NewWriter(&out)
	if _, err := writer.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func riff(chunks ...[]byte) []byte {
	content := append([]byte("WEBP"), slices.Concat(chunks...)...)
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(content))), content...)
}

func webpChunk(kind string, content []byte) []byte {
	return append(binary.LittleEndian.AppendUint32([]byte(kind), uint32(len(content))), content...)
}

// lossy is the chunk of a WebP in lossy colours, with so many bytes of pixels.
func lossy(width, height uint16, length int) []byte {
	const first = 1000 // bytes of the first part
	content := append([]byte{(first<<5 | 1<<4) & 0xff, first << 5 >> 8 & 0xff, first << 5 >> 16, 0x9d, 0x01, 0x2a}, byte(width), byte(width>>8), byte(height), byte(height>>8))
	return webpChunk("VP8 ", append(content, make([]byte, length)...))
}

// extended is the first chunk of a WebP that has opacity beside lossy colours.
func extended(width, height uint32) []byte {
	size := []byte{0x10, 0, 0, 0, byte(width - 1), byte((width - 1) >> 8), 0, byte(height - 1), byte((height - 1) >> 8), 0}
	return webpChunk("VP8X", size)
}

// stripped is a gray TIFF of zeros, compressed, in strips of so many rows.
func stripped(t testing.TB, width, height, rows uint32) []byte {
	t.Helper()
	strips := (height + rows - 1) / rows
	strip := packed(t, make([]byte, width*rows))
	const directory, fields = 8, 9
	const places = directory + 2 + 12*fields + 4
	var file []byte
	number := func(tag, kind uint16, count, value uint32) {
		file = binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(file, tag), kind)
		file = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(file, count), value)
	}
	file = append(file, "II*\x00\x08\x00\x00\x00\x09\x00"...)
	number(256, 4, 1, width)
	number(257, 4, 1, height)
	number(258, 3, 1, 8)
	number(259, 3, 1, 8) // deflated
	number(262, 3, 1, 1) // gray
	number(273, 4, strips, places)
	number(277, 3, 1, 1)
	number(278, 4, 1, rows)
	number(279, 4, strips, places+4*strips)
	file = append(file, 0, 0, 0, 0)
	for range strips { // all are the same
		file = binary.LittleEndian.AppendUint32(file, places+8*strips)
	}
	for range strips {
		file = binary.LittleEndian.AppendUint32(file, uint32(len(strip)))
	}
	return append(file, strip...)
}
