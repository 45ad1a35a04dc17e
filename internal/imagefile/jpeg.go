package imagefile

import (
	"bytes"
	"encoding/binary"
)

// The JPEG markers that matter here; each follows a byte 0xFF.
const (
	jpegEOI = 0xd9 // end of the image
	jpegSOS = 0xda // start of a scan: the first pixels
)

// inspectJPEG goes from segment to segment, without reading them, up to the first
// scan. The size is in the frame header before it.
func inspectJPEG(s *source) (area, error) {
	var size area
	for offset := int64(2); ; {
		marker, next, err := jpegSegment(s, offset)
		switch {
		case err != nil:
			return area{}, err
		case jpegFrame(marker) && size == area{}:
			if size, err = jpegSize(s, offset); err != nil {
				return area{}, err
			}
		case marker == jpegSOS && size == area{}:
			return area{}, unknown("it has no frame header")
		case marker == jpegSOS:
			return size, jpegEnd(s, next)
		case marker == jpegEOI:
			return area{}, unknown("it has no pixels")
		}
		offset = next
	}
}

// jpegSegment reads the marker at offset and says where the next segment begins.
// Bytes that belong to no segment are passed one by one, as decoders do it.
func jpegSegment(s *source, offset int64) (marker byte, next int64, err error) {
	var head [4]byte
	if err := s.read(head[:2], offset); err != nil {
		return 0, 0, err
	}
	marker = head[1]
	switch {
	case head[0] != 0xff, marker == 0xff:
		return 0, offset + 1, nil
	case marker == jpegEOI, jpegLone(marker):
		return marker, offset + 2, nil
	}
	if err := s.read(head[:], offset); err != nil {
		return 0, 0, err
	}
	length := binary.BigEndian.Uint16(head[2:])
	if length < 2 {
		return 0, 0, unknown("a segment has an impossible length")
	}
	return marker, offset + 2 + int64(length), nil
}

// jpegLone says that a marker has no segment: stuffing, TEM, RST0 to RST7, SOI.
func jpegLone(marker byte) bool {
	return marker <= 0x01 || (marker >= 0xd0 && marker <= 0xd8)
}

// jpegFrame says that a marker is one of the frame headers SOF0 to SOF15; DHT,
// JPG and DAC lie between them.
func jpegFrame(marker byte) bool {
	return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc
}

// jpegSize reads the frame header at offset: marker, length, precision, height, width.
func jpegSize(s *source, offset int64) (area, error) {
	var head [9]byte
	if err := s.read(head[:], offset); err != nil {
		return area{}, err
	}
	size := area{width: uint64(binary.BigEndian.Uint16(head[7:])), height: uint64(binary.BigEndian.Uint16(head[5:]))}
	if !size.plausible() {
		return area{}, unknown("its frame header has no width or no height")
	}
	return size, nil
}

// jpegEnd looks for the end marker near the end of the file, but not before the
// first scan: a thumbnail among the metadata has its own. Without one the image
// is cut off, unless the file ends with what cannot be a scan, such as the video
// that telephones append.
func jpegEnd(s *source, scan int64) error {
	tail, err := s.tail(scan, tailBytes)
	if err != nil {
		return err
	}
	if bytes.Contains(tail, []byte{0xff, jpegEOI}) || !jpegScan(tail) {
		return nil
	}
	return truncated("there is no end marker")
}

// jpegScan says whether p can be from coded pixels, where 0xFF is followed by
// stuffing, a restart, or a marker that may come between two scans.
func jpegScan(p []byte) bool {
	for {
		_, after, found := bytes.Cut(p, []byte{0xff})
		if !found || len(after) == 0 {
			return true
		}
		switch marker := after[0]; {
		case marker == 0x00, marker == 0xff, marker >= 0xd0 && marker <= 0xd7: // stuffing, fill, restart
		case marker == 0xc4, marker == 0xcc, marker >= jpegSOS && marker <= 0xdd: // tables and scans
		case marker >= 0xe0 && marker <= 0xef, marker == 0xfe: // application data, comments
		default:
			return false
		}
		p = after
	}
}
