package imagefile

import "encoding/binary"

const (
	gifHeader     = 13 // bytes of signature and logical screen descriptor
	gifDescriptor = 10 // bytes that begin an image: separator, position, size, flags
	gifExtension  = 0x21
	gifImage      = 0x2c
	gifTrailer    = 0x3b
)

// inspectGIF reads the size of the logical screen and walks the blocks to the trailer.
func inspectGIF(s *source) (dimensions, error) {
	var head [gifHeader]byte
	if err := s.read(head[:], 0); err != nil {
		return dimensions{}, err
	}
	found := dimensions{width: uint64(binary.LittleEndian.Uint16(head[6:])), height: uint64(binary.LittleEndian.Uint16(head[8:]))}
	offset, images := gifHeader+gifColors(head[10]), 0
	for {
		if offset == s.size && images > 0 {
			return found, ErrNoEnd
		}
		var kind [1]byte
		if err := s.read(kind[:], offset); err != nil {
			return found, err
		}
		var err error
		switch kind[0] {
		case gifTrailer:
			if images == 0 {
				return found, unknown("it has no image")
			}
			return found, nil
		case gifExtension:
			offset, err = s.gifBlocks(offset + 2) // the label follows the introducer
		case gifImage:
			images++
			var descriptor [gifDescriptor]byte
			if err := s.read(descriptor[:], offset); err != nil {
				return found, err
			}
			offset, err = s.gifBlocks(offset + gifDescriptor + gifColors(descriptor[9]) + 1) // the code size is one byte
		case 0: // decoders pass an empty block between others
			offset++
		default:
			if images > 0 {
				return found, ErrNoEnd // what follows is no GIF
			}
			return found, unknown("it has a block of an unknown kind")
		}
		if err != nil {
			return found, err
		}
	}
}

// gifColors returns the length in bytes of a color table: three for each of up to 256 colors.
func gifColors(flags byte) int64 {
	if flags&0x80 == 0 {
		return 0
	}
	return 3 << (flags&7 + 1)
}

// gifBlocks passes the data blocks that begin at offset, each with its length in front, to the empty one that ends them.
func (s *source) gifBlocks(offset int64) (end int64, err error) {
	for {
		var length [1]byte
		if err := s.read(length[:], offset); err != nil {
			return 0, err
		}
		offset += 1 + int64(length[0])
		if length[0] == 0 {
			return offset, nil
		}
	}
}
