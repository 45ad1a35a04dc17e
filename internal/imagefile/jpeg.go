package imagefile

import (
	"bytes"
	"encoding/binary"
	"io"
)

// The JPEG markers that matter here; each follows a byte 0xFF.
const (
	jpegProgressive = 0xc2 // SOF2
	jpegEOI         = 0xd9 // end of the image
	jpegSOS         = 0xda // start of a scan: coded pixels follow
	jpegDNL         = 0xdc // number of lines, where the frame header says 0
	jpegAPP1        = 0xe1 // EXIF among others

	jpegFrameHead = 10 // bytes before the components: marker, length, precision, size, count
	maxComponents = 4
	exifHead      = "Exif\x00\x00"
)

// inspectJPEG goes from segment to segment and through every scan to the end marker.
func inspectJPEG(s *source) (dimensions, error) {
	walk := jpegWalk{source: s}
	for offset := int64(2); offset >= 0; {
		marker, next, err := jpegSegment(s, offset)
		if err != nil {
			return walk.found, err
		}
		if marker == jpegEOI {
			return walk.found, walk.end()
		}
		if next, err = walk.segment(marker, offset, next); err != nil {
			return walk.found, err
		}
		offset = next
	}
	switch {
	case !walk.found.plausible():
		return walk.found, truncated("it ends before its pixels")
	case !walk.hasAllScans():
		return walk.found, truncated("it ends before its last scan")
	}
	return walk.found, ErrNoEnd
}

// jpegWalk holds what the segments of a JPEG up to here contain.
type jpegWalk struct {
	source  *source
	found   dimensions
	framed  bool // the frame header was there
	scanned bool // a scan was there

	progressive bool
	missing     map[byte]*coefficients // by the component's identifier
}

// coefficients are how many of the lowest bits of each coefficient of a component no scan up to here has.
type coefficients [64]byte

// allBits are more bits than a coefficient has.
const allBits = 0xff

// segment reads the segment at offset and returns the offset of the one after it, given that of its own end. It is -1 if the
// file ends in a scan.
func (w *jpegWalk) segment(marker byte, offset, end int64) (next int64, err error) {
	switch {
	case isJPEGFrame(marker) && !w.framed:
		size, err := jpegSize(w.source, offset)
		if err != nil {
			return 0, err
		}
		w.found.width, w.found.height, w.framed = size.width, size.height, true
		w.components(marker, offset)
	case marker == jpegAPP1 && w.found.orientation == 0 && !w.scanned:
		w.found.orientation = jpegOrientation(w.source, offset, end)
	case marker == jpegSOS && !w.framed:
		return 0, unknown("it has no frame header")
	case marker == jpegSOS:
		w.scanned = true
		w.scan(offset)
		return endOfScan(w.source, end)
	case marker == jpegDNL && w.scanned && w.found.height == 0:
		if w.found.height, err = jpegLines(w.source, offset); err != nil {
			return 0, err
		}
	}
	return end, nil
}

// components reads from the frame header at offset which components there are: all their bits are missing.
func (w *jpegWalk) components(marker byte, offset int64) {
	components := w.list(offset+jpegFrameHead-1, 3)
	w.progressive, w.missing = marker&3 == jpegProgressive&3, make(map[byte]*coefficients)
	for n := 0; n < len(components); n += 3 { // of each the identifier, the sampling, the table
		all := coefficients(bytes.Repeat([]byte{allBits}, len(coefficients{})))
		w.missing[components[n]] = &all
	}
}

// scan reads from the scan header at offset which bits follow: the components, the first and the last coefficient, and how many bits of
// them come later. A scan that is not progressive has all of its components.
func (w *jpegWalk) scan(offset int64) {
	components := w.list(offset+4, 2)
	spectrum := [3]byte{0, byte(len(coefficients{}) - 1), 0}
	if w.progressive && w.source.read(spectrum[:], offset+5+int64(len(components))) != nil {
		return
	}
	for n := 0; n < len(components); n += 2 { // of each the identifier, the tables
		missing, ok := w.missing[components[n]]
		for k := int(spectrum[0]); ok && k <= min(int(spectrum[1]), len(missing)-1); k++ {
			missing[k] = spectrum[2] & 0xf
		}
	}
}

// list reads the count at offset, and as many entries of size bytes. It is empty if they are not there.
func (w *jpegWalk) list(offset int64, size int) []byte {
	var count [1]byte
	if w.source.read(count[:], offset) != nil {
		return nil
	}
	entries := make([]byte, size*int(count[0]))
	if w.source.read(entries, offset+1) != nil {
		return nil
	}
	return entries
}

// hasAllScans reports whether the scans up to here have every bit of every component.
func (w *jpegWalk) hasAllScans() bool {
	for _, missing := range w.missing {
		if *missing != (coefficients{}) {
			return false
		}
	}
	return len(w.missing) > 0
}

// end returns the error for an end marker in this place.
func (w *jpegWalk) end() error {
	if !w.scanned {
		return unknown("it has no pixels")
	}
	return nil
}

// jpegSegment returns the marker at offset and where the next segment begins. It passes bytes that belong to
// no segment, as decoders do.
func jpegSegment(s *source, offset int64) (marker byte, next int64, err error) {
	var head [4]byte
	if err := s.read(head[:2], offset); err != nil {
		return 0, 0, err
	}
	marker = head[1]
	switch {
	case head[0] != 0xff:
		next, err = s.find(0xff, offset)
		if err == nil && next < 0 {
			err = truncated("it ends before its pixels")
		}
		return 0, next, err
	case marker == 0xff: // fill
		return 0, offset + 1, nil
	case marker == jpegEOI, isLoneJPEGMarker(marker):
		return marker, offset + 2, nil
	}
	if err := s.read(head[:], offset); err != nil {
		return 0, 0, err
	}
	length := binary.BigEndian.Uint16(head[2:])
	if length < 2 {
		return 0, 0, unknown("a segment has an impossible length")
	}
	next = offset + 2 + int64(length)
	if next > s.size {
		return 0, 0, truncated("a segment lies beyond the end of the file")
	}
	return marker, next, nil
}

// endOfScan returns the offset of the first marker after coded pixels, or -1 if the file ends before one. In
// coded pixels 0xFF is followed by stuffing or a restart marker. Other bytes that cannot follow are passed, as decoders do.
func endOfScan(s *source, offset int64) (int64, error) {
	for {
		at, err := s.find(0xff, offset)
		if err != nil || at < 0 || at+1 >= s.size {
			return -1, err
		}
		var marker [1]byte
		if err := s.read(marker[:], at+1); err != nil {
			return 0, err
		}
		switch m := marker[0]; {
		case m == 0xff: // fill
			offset = at + 1
		case m == 0xc4, m == 0xcc, m == jpegEOI, m >= jpegSOS && m <= 0xdf, m >= 0xe0 && m <= 0xef, m == 0xfe:
			return at, nil
		default:
			offset = at + 2
		}
	}
}

// isLoneJPEGMarker reports whether a marker has no segment: stuffing, TEM, RST0 to RST7, SOI.
func isLoneJPEGMarker(marker byte) bool {
	return marker <= 0x01 || (marker >= 0xd0 && marker <= 0xd8)
}

// isJPEGFrame reports whether a marker is one of the frame headers SOF0 to SOF15; DHT, JPG and DAC lie between them.
func isJPEGFrame(marker byte) bool {
	return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc
}

// jpegSize reads the frame header at offset: marker, length, precision, height, width. A height of 0 means that a
// DNL segment after the first scan has it.
func jpegSize(s *source, offset int64) (dimensions, error) {
	var head [9]byte
	if err := s.read(head[:], offset); err != nil {
		return dimensions{}, err
	}
	size := dimensions{width: uint64(binary.BigEndian.Uint16(head[7:])), height: uint64(binary.BigEndian.Uint16(head[5:]))}
	if size.width == 0 {
		return dimensions{}, unknown("its frame header has no width")
	}
	return size, nil
}

// jpegLines reads the number of lines in the DNL segment at offset.
func jpegLines(s *source, offset int64) (uint64, error) {
	var segment [6]byte
	err := s.read(segment[:], offset)
	return uint64(binary.BigEndian.Uint16(segment[4:])), err
}

// jpegTurn returns the orientation that the segments before the pixels name first, or 0.
func jpegTurn(s *source) int {
	for offset := int64(2); ; {
		marker, next, err := jpegSegment(s, offset)
		if err != nil || marker == jpegSOS || marker == jpegEOI {
			return 0
		}
		if marker == jpegAPP1 {
			if orientation := jpegOrientation(s, offset, next); orientation != 0 {
				return orientation
			}
		}
		offset = next
	}
}

// jpegOrientation returns the orientation in the APP1 segment between two offsets, or 0 if it has none.
func jpegOrientation(s *source, offset, end int64) int {
	head := make([]byte, len(exifHead))
	start := offset + 4
	if err := s.read(head, start); err != nil || string(head) != exifHead {
		return 0
	}
	start += int64(len(exifHead))
	return exifOrientation(s, start, end-start)
}

// Frame describes how the pixels of a JPEG are coded, which decides what a decoder needs for them.
type Frame struct {
	Width, Height int // as stored
	Progressive   bool
	Components    []Sampling
	End           int64 // offset of what follows the frame header
}

// Sampling is how many blocks of 8 x 8 samples a component has in each unit of the frame.
type Sampling struct{ Horizontal, Vertical int }

// DecodedBytes returns what Go's decoder allocates for the pixels, in bytes: one for each sample, four more for its coefficient
// if the frame is progressive, and the pixels that it makes of four components. Those that it makes of RGB are not counted.
func (f Frame) DecodedBytes() int64 {
	components := f.Components
	if len(components) == 1 { // its sampling means nothing
		components = []Sampling{{Horizontal: 1, Vertical: 1}}
	}
	across, down := 8*components[0].Horizontal, 8*components[0].Vertical
	units := int64((f.Width+across-1)/across) * int64((f.Height+down-1)/down)
	var bytes int64
	for _, c := range components {
		bytes += 64 * units * int64(c.Horizontal*c.Vertical)
	}
	if f.Progressive {
		bytes *= 5
	}
	if len(components) == maxComponents {
		bytes += 4 * int64(f.Width) * int64(f.Height)
	}
	return bytes
}

// JPEGFrame reads the frame header of a JPEG and nothing behind it: the beginning of a file is
// enough. Errors are those of Inspect.
func JPEGFrame(r io.ReaderAt, size int64) (Frame, error) {
	s := newSource(r, size)
	for offset := int64(2); ; {
		marker, next, err := jpegSegment(s, offset)
		switch {
		case err != nil:
			return Frame{}, err
		case isJPEGFrame(marker):
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
	if size.height == 0 {
		return Frame{}, unknown("its frame header has no height")
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
