package imagefile

import (
	"errors"
	"io"
)

// Frame is how the pixels of a JPEG are coded, which decides what a decoder needs for them.
type Frame struct {
	Width, Height int
	Progressive   bool // the pixels come in several scans, each of which refines those before it
	Components    []Sampling
	End           int64 // offset of what follows the frame header
}

// Sampling is how many blocks of 8 x 8 samples a component has in each unit of the frame.
type Sampling struct{ Horizontal, Vertical int }

const (
	jpegProgressive = 0xc2 // SOF2
	jpegFrameHead   = 10   // bytes before the components: marker, length, precision, size, count
	maxComponents   = 4
)

// JPEGFrame reads the frame header of a JPEG. What follows it is not looked at, so that the
// beginning of a file is enough. Errors are those of Inspect.
func JPEGFrame(r io.ReaderAt, size int64) (Frame, error) {
	s := &source{reader: r, size: size, budget: readBudget}
	for offset := int64(2); ; {
		marker, next, err := jpegSegment(s, offset)
		switch {
		case err != nil:
			return Frame{}, err
		case jpegFrame(marker):
			return s.frame(marker, offset, next)
		case marker == jpegSOS, marker == jpegEOI:
			return Frame{}, unknown("it has no frame header")
		}
		offset = next
	}
}

// frame reads the frame header at offset.
func (s *source) frame(marker byte, offset, end int64) (Frame, error) {
	size, err := jpegSize(s, offset)
	if err != nil {
		return Frame{}, err
	}
	frame := Frame{Width: int(size.width), Height: int(size.height), Progressive: marker == jpegProgressive, End: end}
	var count [1]byte
	if err := s.read(count[:], offset+jpegFrameHead-1); err != nil {
		return Frame{}, err
	}
	if count[0] == 0 || count[0] > maxComponents {
		return Frame{}, unknown("its frame header has an impossible number of components")
	}
	components := make([]byte, 3*int(count[0])) // of each the name, the sampling, the table
	if err := s.read(components, offset+jpegFrameHead); err != nil {
		return Frame{}, err
	}
	for n := 1; n < len(components); n += 3 {
		sampling := Sampling{int(components[n] >> 4), int(components[n] & 0x0f)}
		if sampling.Horizontal == 0 || sampling.Vertical == 0 {
			return Frame{}, unknown("its frame header has a component without samples")
		}
		frame.Components = append(frame.Components, sampling)
	}
	return frame, nil
}

// Blocks are the strips or tiles in which the pixels of a TIFF are stored. What the file does
// not say is 0.
type Blocks struct {
	RowsPerStrip          int64
	TileWidth, TileHeight int64
	Compressed            bool
}

const tiffUncompressed = 1

// TIFFBlocks reads how the first page of a TIFF is stored. Errors are those of Inspect.
func TIFFBlocks(r io.ReaderAt, size int64) (Blocks, error) {
	file, directory, err := openTIFF(&source{reader: r, size: size, budget: readBudget})
	if err != nil {
		return Blocks{}, err
	}
	fields, err := file.fields(directory)
	if err != nil {
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
