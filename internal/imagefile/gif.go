package imagefile

import (
	"bytes"
	"encoding/binary"
)

const gifHeader = 13 // signature and logical screen descriptor

// inspectGIF reads the size of the logical screen.
func inspectGIF(s *source) (area, error) {
	var head [gifHeader]byte
	if err := s.read(head[:], 0); err != nil {
		return area{}, err
	}
	size := area{uint64(binary.LittleEndian.Uint16(head[6:])), uint64(binary.LittleEndian.Uint16(head[8:]))}
	return size, gifEnd(s, gifHeader+gifColours(head[10]))
}

// gifColours is the length of the colour table after the header: three bytes for
// each of up to 256 colours.
func gifColours(flags byte) int64 {
	if flags&0x80 == 0 {
		return 0
	}
	return 3 << (flags&7 + 1)
}

// gifEnd looks for the end of a block followed by the trailer, in so short a
// stretch that coded pixels hardly hold the two by chance. Some writers forget
// the trailer; then the end of a block is the last byte.
func gifEnd(s *source, start int64) error {
	tail, err := s.tail(start, 1<<10)
	if err != nil {
		return err
	}
	if bytes.Contains(tail, []byte{0, ';'}) || tail[len(tail)-1] == 0 {
		return nil
	}
	return truncated("there is no trailer")
}
