package imagefile

import (
	"encoding/binary"
	"errors"
	"math"
)

// Numbers of the TIFF fields that matter here.
const (
	tiffWidth        = 256
	tiffHeight       = 257
	tiffCompression  = 259
	tiffStripOffsets = 273
	tiffRowsPerStrip = 278
	tiffStripCounts  = 279
	tiffColourMap    = 320
	tiffTileWidth    = 322
	tiffTileHeight   = 323
	tiffTileOffsets  = 324
	tiffTileCounts   = 325
)

const maxTIFFFields = 1024 // files have a few dozen

// tiff is a TIFF file, or a BigTIFF file, which has wider numbers.
type tiff struct {
	*source
	order binary.ByteOrder
	big   bool
}

// tiffField is one entry of a directory: an array of count numbers, stored in
// the entry itself when it fits.
type tiffField struct {
	width int64  // bytes of one number; 0 for a type that is no whole number
	count uint64 // numbers
	value int64  // where the first number is in the file
}

// inspectTIFF reads the first directory, which may be anywhere in the file.
func inspectTIFF(s *source) (area, error) {
	file, directory, err := openTIFF(s)
	if err != nil {
		return area{}, err
	}
	fields, err := file.fields(directory)
	if err != nil {
		return area{}, err
	}
	width, err := file.number(fields[tiffWidth], 0)
	if err != nil {
		return area{}, err
	}
	height, err := file.number(fields[tiffHeight], 0)
	if err != nil {
		return area{}, err
	}
	return area{width, height}, file.checkEnd(fields)
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

// offsetOf gives an offset that no file has in place of one that cannot be.
func offsetOf(n uint64) int64 { return int64(min(n, math.MaxInt64/2)) }

// fields reads the directory at offset.
func (t tiff) fields(offset int64) (map[uint16]tiffField, error) {
	count, offset, err := t.countFields(offset)
	if err != nil {
		return nil, err
	}
	if count > maxTIFFFields {
		return nil, unknown("its directory has too many fields")
	}
	fields := make(map[uint16]tiffField)
	for range count {
		var entry [20]byte
		if err := t.read(entry[:t.pick(12, 20)], offset); err != nil {
			return nil, err
		}
		tag := t.order.Uint16(entry[:])
		switch tag {
		case tiffWidth, tiffHeight, tiffStripOffsets, tiffStripCounts, tiffColourMap, tiffTileOffsets, tiffTileCounts,
			tiffCompression, tiffRowsPerStrip, tiffTileWidth, tiffTileHeight:
			fields[tag] = t.field(entry[:], offset)
		}
		offset += t.pick(12, 20)
	}
	return fields, nil
}

// countFields reads the number of fields, and says where they begin.
func (t tiff) countFields(offset int64) (count uint64, fields int64, err error) {
	count, err = t.numberAt(offset, t.pick(2, 8))
	return count, offset + t.pick(2, 8), err
}

// field reads the entry that is at offset in the file.
func (t tiff) field(entry []byte, offset int64) tiffField {
	field := tiffField{width: tiffNumber(t.order.Uint16(entry[2:]))}
	var far uint64 // where the numbers are if they do not fit
	if t.big {
		field.count, far = t.order.Uint64(entry[4:]), t.order.Uint64(entry[12:])
	} else {
		field.count, far = uint64(t.order.Uint32(entry[4:])), uint64(t.order.Uint32(entry[8:]))
	}
	field.value = offset + t.pick(8, 12)
	if field.width > 0 && field.count > uint64(t.pick(4, 8)/field.width) {
		field.value = offsetOf(far)
	}
	return field
}

// tiffNumber is the width in bytes of a type of whole numbers: BYTE, SHORT, LONG, IFD, LONG8, IFD8.
func tiffNumber(kind uint16) int64 {
	switch kind {
	case 1:
		return 1
	case 3:
		return 2
	case 4, 13:
		return 4
	case 16, 18:
		return 8
	}
	return 0
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

// pick is one measure in TIFF, another in BigTIFF.
func (t tiff) pick(classic, big int64) int64 {
	if t.big {
		return big
	}
	return classic
}

// checkEnd looks whether the colours and the last strip or tile are inside the
// file; in most files the last is also the furthest. Where a field is missing or
// strange there is nothing to tell by.
func (t tiff) checkEnd(fields map[uint16]tiffField) error {
	offsets, counts := fields[tiffStripOffsets], fields[tiffStripCounts]
	if offsets.count == 0 {
		offsets, counts = fields[tiffTileOffsets], fields[tiffTileCounts]
	}
	last := offsets.count - 1
	offset, offsetErr := t.number(offsets, last)
	count, countErr := t.number(counts, last)
	colours := fields[tiffColourMap]
	_, coloursErr := t.number(colours, colours.count-1)
	for _, err := range []error{offsetErr, countErr, coloursErr} {
		if err != nil && !errors.Is(err, ErrUnknown) {
			return err
		}
	}
	if offsetOf(offset)+offsetOf(count) > t.size {
		return truncated("pixels are missing")
	}
	return nil
}
