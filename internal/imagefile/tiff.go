package imagefile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
)

// Numbers of the TIFF fields that matter here.
const (
	tiffWidth        = 256
	tiffHeight       = 257
	tiffCompression  = 259
	tiffStripOffsets = 273
	tiffOrientation  = 274
	tiffRowsPerStrip = 278
	tiffStripCounts  = 279
	tiffTileWidth    = 322
	tiffTileHeight   = 323
	tiffTileOffsets  = 324
	tiffTileCounts   = 325
	tiffSubIFDs      = 330
	tiffJPEGOffset   = 513 // of an image in the old form of JPEG compression, or of a thumbnail
	tiffJPEGBytes    = 514

	tiffUncompressed = 1
	// maxDirectories is how many pages and other directories are looked at.
	maxDirectories = 100_000
)

// tiff is a TIFF file, or a BigTIFF file, which has wider numbers.
type tiff struct {
	*source
	order binary.ByteOrder
	big   bool
}

// tiffField is one entry of a directory: an array of count numbers, stored in the entry itself when it fits.
type tiffField struct {
	width int64  // bytes of one number; 0 for a type that is not a whole number
	count uint64 // numbers
	value int64  // offset of the first number in the file
}

// inspectTIFF returns the size of the first page, and checks every directory, strip and tile.
func inspectTIFF(s *source) (dimensions, error) {
	file, first, err := openTIFF(s)
	if err != nil {
		return dimensions{}, err
	}
	var found dimensions
	seen := map[int64]bool{}
	pending := []int64{first}
	for len(pending) > 0 {
		offset := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		if offset == 0 || seen[offset] {
			continue
		}
		if seen[offset] = true; len(seen) > maxDirectories {
			return found, unknown("it has too many directories")
		}
		fields, next, err := file.directory(offset)
		if err != nil {
			return found, err
		}
		if offset == first {
			if found, err = file.dimensions(fields); err != nil {
				return found, err
			}
		}
		if err := file.checkData(fields); err != nil {
			return found, err
		}
		inner, err := file.numbers(fields[tiffSubIFDs])
		if err != nil {
			return found, err
		}
		pending = append(append(pending, next), inner...)
	}
	return found, nil
}

// dimensions returns those of a directory's image.
func (t tiff) dimensions(fields map[uint16]tiffField) (dimensions, error) {
	width, err := t.number(fields[tiffWidth], 0)
	if err != nil {
		return dimensions{}, err
	}
	height, err := t.number(fields[tiffHeight], 0)
	if err != nil {
		return dimensions{}, err
	}
	return dimensions{width: width, height: height, orientation: t.orientation(fields)}, nil
}

// orientation returns that of a directory, from 1 to 8, or 0 if it has none.
func (t tiff) orientation(fields map[uint16]tiffField) int {
	n, err := t.number(fields[tiffOrientation], 0)
	if err != nil || n > 8 {
		return 0
	}
	return int(n)
}

// EXIFOrientation returns the orientation in EXIF data, as in Image. What cannot be read is not turned.
func EXIFOrientation(exif []byte) int {
	length := int64(len(exif))
	return max(exifOrientation(newSource(bytes.NewReader(exif), length), 0, length), 1)
}

// exifOrientation returns the orientation in the EXIF data of length bytes at start, which is a TIFF file, or 0 if there is none.
func exifOrientation(s *source, start, length int64) int {
	if length <= 0 {
		return 0
	}
	data := s.section(start, length)
	var head [len(exifHead)]byte
	if err := data.read(head[:], 0); err == nil && string(head[:]) == exifHead { // writers of PNG and WebP put it there as JPEG has it
		return exifOrientation(s, start+int64(len(head)), length-int64(len(head)))
	}
	file, first, err := openTIFF(data)
	if err != nil {
		return 0
	}
	fields := map[uint16]tiffField{}
	if _, err := file.eachField(first, func(tag uint16, _ int64, field tiffField) error {
		if tag == tiffOrientation {
			fields[tag] = field
		}
		return nil
	}); err != nil && len(fields) == 0 {
		return 0
	}
	return file.orientation(fields)
}

// openTIFF reads the header: byte order, version, offset of the first directory.
func openTIFF(s *source) (tiff, int64, error) {
	var head [16]byte
	if err := s.read(head[:8], 0); err != nil {
		return tiff{}, 0, err
	}
	file := tiff{source: s, order: binary.LittleEndian}
	if head[0] == 'M' {
		file.order = binary.BigEndian
	}
	if file.order.Uint16(head[2:]) == 42 {
		return file, int64(file.order.Uint32(head[4:])), nil
	}
	file.big = true
	if file.order.Uint16(head[4:]) != 8 || file.order.Uint16(head[6:]) != 0 {
		return tiff{}, 0, unknown("its offsets are not of 8 bytes")
	}
	if err := s.read(head[:], 0); err != nil {
		return tiff{}, 0, err
	}
	return file, offsetOf(file.order.Uint64(head[8:])), nil
}

// offsetOf returns n, or an offset beyond the end of any file if n is none.
func offsetOf(n uint64) int64 { return int64(min(n, math.MaxInt64/4)) }

// directory reads the directory at offset and returns the fields that matter and the offset of the next directory. The
// data of every field has to be within the file.
func (t tiff) directory(offset int64) (fields map[uint16]tiffField, next int64, err error) {
	fields = make(map[uint16]tiffField)
	end, err := t.eachField(offset, func(tag uint16, width int64, field tiffField) error {
		if field.count > uint64(t.size) || field.value+int64(field.count)*width > t.size {
			return truncated("the data of a field lies beyond the end of the file")
		}
		switch tag {
		case tiffWidth, tiffHeight, tiffStripOffsets, tiffStripCounts, tiffTileOffsets, tiffTileCounts, tiffOrientation,
			tiffCompression, tiffRowsPerStrip, tiffTileWidth, tiffTileHeight, tiffSubIFDs, tiffJPEGOffset, tiffJPEGBytes:
			fields[tag] = field
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	further, err := t.numberAt(end, t.pick(4, 8))
	return fields, offsetOf(further), err
}

// eachField calls do for every entry of the directory at offset, with the bytes that one value of its type takes,
// and returns the offset of its end.
func (t tiff) eachField(offset int64, do func(tag uint16, width int64, field tiffField) error) (end int64, err error) {
	count, err := t.numberAt(offset, t.pick(2, 8))
	if err != nil {
		return 0, err
	}
	offset += t.pick(2, 8)
	if count > uint64(t.size) {
		return 0, truncated("its directory lies beyond the end of the file")
	}
	for range count {
		var entry [20]byte
		if err := t.read(entry[:t.pick(12, 20)], offset); err != nil {
			return 0, err
		}
		width, field := t.field(entry[:], offset)
		if err := do(t.order.Uint16(entry[:]), width, field); err != nil {
			return 0, err
		}
		offset += t.pick(12, 20)
	}
	return offset, nil
}

// field reads the entry that is at offset in the file, and returns the bytes that one value of its type takes.
func (t tiff) field(entry []byte, offset int64) (width int64, field tiffField) {
	kind := t.order.Uint16(entry[2:])
	width = tiffWidthOf(kind)
	field.width = width
	if !isTIFFInteger(kind) {
		field.width = 0
	}
	var far uint64 // offset of the values if they do not fit
	if t.big {
		field.count, far = t.order.Uint64(entry[4:]), t.order.Uint64(entry[12:])
	} else {
		field.count, far = uint64(t.order.Uint32(entry[4:])), uint64(t.order.Uint32(entry[8:]))
	}
	field.value = offset + t.pick(8, 12)
	if width > 0 && field.count > uint64(t.pick(4, 8)/width) {
		field.value = offsetOf(far)
	}
	return width, field
}

// tiffWidthOf returns how many bytes one value of a type takes; 0 for an unknown type.
func tiffWidthOf(kind uint16) int64 {
	switch kind {
	case 1, 2, 6, 7: // BYTE, ASCII, SBYTE, UNDEFINED
		return 1
	case 3, 8: // SHORT, SSHORT
		return 2
	case 4, 9, 11, 13: // LONG, SLONG, FLOAT, IFD
		return 4
	case 5, 10, 12, 16, 17, 18: // RATIONAL, SRATIONAL, DOUBLE, LONG8, SLONG8, IFD8
		return 8
	}
	return 0
}

// isTIFFInteger reports whether a type is a whole number without a sign.
func isTIFFInteger(kind uint16) bool {
	switch kind {
	case 1, 3, 4, 13, 16, 18:
		return true
	}
	return false
}

// number reads the number at index of a field's array.
func (t tiff) number(field tiffField, index uint64) (uint64, error) {
	if field.width == 0 || index >= field.count {
		return 0, unknown("its directory lacks a number")
	}
	if index > uint64(t.size) {
		return 0, truncated("it has fewer bytes than strips or tiles")
	}
	return t.numberAt(field.value+int64(index)*field.width, field.width)
}

// numbers reads the offsets in a field's array, of at most maxDirectories.
func (t tiff) numbers(field tiffField) ([]int64, error) {
	if field.width == 0 {
		return nil, nil
	}
	if field.count > maxDirectories {
		return nil, unknown("it has too many directories")
	}
	list := make([]int64, 0, field.count)
	for n := range field.count {
		number, err := t.number(field, n)
		if err != nil {
			return nil, err
		}
		list = append(list, offsetOf(number))
	}
	return list, nil
}

func (t tiff) numberAt(offset, width int64) (uint64, error) {
	var p [8]byte
	if err := t.read(p[:width], offset); err != nil {
		return 0, err
	}
	switch width {
	case 1:
		return uint64(p[0]), nil
	case 2:
		return uint64(t.order.Uint16(p[:])), nil
	case 4:
		return uint64(t.order.Uint32(p[:])), nil
	}
	return t.order.Uint64(p[:]), nil
}

// pick returns one measure for TIFF and another for BigTIFF.
func (t tiff) pick(classic, big int64) int64 {
	if t.big {
		return big
	}
	return classic
}

// checkData checks that every strip, tile and embedded JPEG of a directory is within the file. Where a length is
// missing, only the offset is checked. A strip or tile of length 0 is left out on purpose.
func (t tiff) checkData(fields map[uint16]tiffField) error {
	for _, pair := range [][2]uint16{{tiffStripOffsets, tiffStripCounts}, {tiffTileOffsets, tiffTileCounts}, {tiffJPEGOffset, tiffJPEGBytes}} {
		offsets, counts := fields[pair[0]], fields[pair[1]]
		if offsets.width == 0 {
			continue
		}
		if err := t.checkOffsets(offsets, counts); err != nil {
			return err
		}
	}
	return nil
}

// block is how many numbers of an array are read at a time.
const block = 1024

// checkOffsets checks that each offset and as many bytes as the count beside it are within the file. It reads the two
// arrays in turns, a block at a time, because they are seldom side by side.
func (t tiff) checkOffsets(offsets, counts tiffField) error {
	ends := make([]int64, 0, min(offsets.count, block))
	for first := uint64(0); first < offsets.count; first += block {
		ends = ends[:0]
		for n := first; n < min(first+block, offsets.count); n++ {
			offset, err := t.number(offsets, n)
			if err != nil {
				return err
			}
			ends = append(ends, offsetOf(offset))
		}
		for n, end := range ends {
			index, count := first+uint64(n), uint64(1)
			if counts.width > 0 && index < counts.count {
				var err error
				if count, err = t.number(counts, index); err != nil {
					return err
				}
			}
			if count > 0 && end+offsetOf(count) > t.size {
				return truncated("pixels are missing")
			}
		}
	}
	return nil
}

// Blocks describes the strips or tiles in which the pixels of a TIFF are stored. What the file does not say is 0.
type Blocks struct {
	RowsPerStrip          int64
	TileWidth, TileHeight int64
	Compressed            bool
}

// TIFFBlocks reads how the first page of a TIFF is stored. Errors are those of Inspect.
func TIFFBlocks(r io.ReaderAt, size int64) (Blocks, error) {
	file, directory, err := openTIFF(newSource(r, size))
	if err != nil {
		return Blocks{}, err
	}
	fields := map[uint16]tiffField{}
	if _, err := file.eachField(directory, func(tag uint16, _ int64, field tiffField) error {
		switch tag {
		case tiffRowsPerStrip, tiffTileWidth, tiffTileHeight, tiffCompression:
			fields[tag] = field
		}
		return nil
	}); err != nil {
		return Blocks{}, err
	}
	var numbers [4]int64
	for n, tag := range []uint16{tiffRowsPerStrip, tiffTileWidth, tiffTileHeight, tiffCompression} {
		number, err := file.number(fields[tag], 0)
		if err != nil && !errors.Is(err, ErrUnknown) {
			return Blocks{}, err
		}
		numbers[n] = offsetOf(number)
	}
	return Blocks{
		RowsPerStrip: numbers[0], TileWidth: numbers[1], TileHeight: numbers[2],
		Compressed: numbers[3] > tiffUncompressed,
	}, nil
}
