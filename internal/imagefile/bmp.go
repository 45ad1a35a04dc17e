package imagefile

import (
	"encoding/binary"
	"slices"
)

// bmpHeader holds the headers of a BMP.
type bmpHeader struct {
	size        dimensions
	planes      uint16
	bits        uint16 // per pixel
	compression uint32 // 0, 3 and 6 are none; 1 and 2 run lengths; 4 and 5 an embedded JPEG or PNG
	length      uint32 // bytes of the pixels when compressed
	pixels      uint32 // their offset
}

// inspectBMP reads the file header and the header after it, of which there have been several versions.
func inspectBMP(s *source) (dimensions, error) {
	header, err := readBMP(s)
	if err != nil {
		return dimensions{}, err
	}
	if header.planes != 1 || !slices.Contains([]uint16{1, 2, 4, 8, 16, 24, 32}, header.bits) || !header.size.plausible() {
		return dimensions{}, unknown("its header is impossible")
	}
	return header.size, header.checkEnd(s)
}

func readBMP(s *source) (bmpHeader, error) {
	var core [26]byte
	if err := s.read(core[:], 0); err != nil {
		return bmpHeader{}, err
	}
	header := bmpHeader{pixels: binary.LittleEndian.Uint32(core[10:])}
	switch binary.LittleEndian.Uint32(core[14:]) {
	case 12: // OS/2
		header.size = dimensions{width: uint64(binary.LittleEndian.Uint16(core[18:])), height: uint64(binary.LittleEndian.Uint16(core[20:]))}
		header.planes, header.bits = binary.LittleEndian.Uint16(core[22:]), binary.LittleEndian.Uint16(core[24:])
		return header, nil
	case 40, 52, 56, 64, 108, 124:
		err := header.readInfo(s)
		return header, err
	}
	return bmpHeader{}, unknown("its header has an unknown length")
}

// readInfo reads what all versions since Windows 3 have in common.
func (h *bmpHeader) readInfo(s *source) error {
	var info [38]byte
	if err := s.read(info[:], 0); err != nil {
		return err
	}
	width, height := int64(int32(binary.LittleEndian.Uint32(info[18:]))), int64(int32(binary.LittleEndian.Uint32(info[22:])))
	if height < 0 { // the rows come from top to bottom
		height = -height
	}
	h.size = dimensions{width: uint64(max(width, 0)), height: uint64(height)}
	h.planes, h.bits = binary.LittleEndian.Uint16(info[26:]), binary.LittleEndian.Uint16(info[28:])
	h.compression, h.length = binary.LittleEndian.Uint32(info[30:]), binary.LittleEndian.Uint32(info[34:])
	return nil
}

// checkEnd compares the length of the file with that of the pixels: rows are padded to four bytes, which the last
// one may lack. It ignores the file's own length field, because many writers get it wrong.
func (h *bmpHeader) checkEnd(s *source) error {
	available := s.size - int64(h.pixels)
	fits := available > 0
	switch h.compression {
	case 0, 3, 6:
		row := (int64(h.size.width)*int64(h.bits) + 31) / 32 * 4
		fits = fits && row <= (available+3)/int64(h.size.height)
	case 1, 2, 4, 5:
		fits = fits && int64(h.length) <= available
	}
	if !fits {
		return truncated("pixels are missing")
	}
	return nil
}
