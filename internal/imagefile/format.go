package imagefile

import "bytes"

// headBytes is how much of a file is enough to detect its format.
const headBytes = 16

// format is one kind of image: how it begins, and how its headers are read.
type format struct {
	mediaType string
	extension string
	begins    func(head []byte) bool
	inspect   func(*source) (dimensions, error) // also checks that the file is whole; the caller checks the size
}

// formatOf picks the format by the first bytes of a file.
func formatOf(head []byte) (format, bool) {
	for _, format := range formats() {
		if format.begins(head) {
			return format, true
		}
	}
	return format{}, false
}

func formats() []format {
	return []format{
		{"image/png", ".png", prefix("\x89PNG\r\n\x1a\n"), inspectPNG},
		{"image/jpeg", ".jpg", prefix("\xff\xd8\xff"), inspectJPEG},
		{"image/webp", ".webp", pattern("RIFF????WEBP"), inspectWebP},
		{"image/gif", ".gif", prefix("GIF87a", "GIF89a"), inspectGIF},
		{"image/bmp", ".bmp", prefix("BM"), inspectBMP},
		{"image/tiff", ".tiff", prefix("II*\x00", "MM\x00*", "II+\x00", "MM\x00+"), inspectTIFF},
		{"image/avif", ".avif", pattern("????ftyp"), inspectAVIF},
	}
}

func prefix(magics ...string) func([]byte) bool {
	return func(head []byte) bool {
		for _, magic := range magics {
			if bytes.HasPrefix(head, []byte(magic)) {
				return true
			}
		}
		return false
	}
}

// pattern matches like prefix; a question mark stands for any byte.
func pattern(magic string) func([]byte) bool {
	return func(head []byte) bool {
		if len(head) < len(magic) {
			return false
		}
		for i := range len(magic) {
			if magic[i] != '?' && magic[i] != head[i] {
				return false
			}
		}
		return true
	}
}
