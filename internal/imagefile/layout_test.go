package imagefile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/imagefile"
)

func TestJPEGFrame(t *testing.T) {
	t.Parallel()
	gray := string([]byte{8, 0, 5, 0, 9, 1, 1, 0x22, 0})
	colour := string([]byte{8, 0, 5, 0, 9, 3, 1, 0x21, 0, 2, 0x11, 1, 3, 0x11, 1})
	start := []byte("\xff\xd8")
	rows := []struct {
		name string
		file []byte
		want imagefile.Frame // of no width where there is none
	}{
		{
			"gray", withSegments(start, segment(0xe0, []byte("JFIF\x00")), segment(0xc0, []byte(gray))),
			imagefile.Frame{Width: 9, Height: 5, Components: []imagefile.Sampling{{2, 2}}, End: 2 + 9 + 13},
		},
		{
			"progressive", withSegments(start, segment(0xc2, []byte(colour))),
			imagefile.Frame{Width: 9, Height: 5, Progressive: true, Components: []imagefile.Sampling{{2, 1}, {1, 1}, {1, 1}}, End: 2 + 19},
		},
		{"no frame before the scan", withSegments(start, segment(0xda, []byte(gray))), imagefile.Frame{}},
		{"the end instead", []byte("\xff\xd8\xff\xd9"), imagefile.Frame{}},
		{"no components", withSegments(start, segment(0xc0, []byte{8, 0, 5, 0, 9, 0})), imagefile.Frame{}},
		{"too many components", withSegments(start, segment(0xc0, append([]byte{8, 0, 5, 0, 9, 5}, make([]byte, 15)...))), imagefile.Frame{}},
		{"no samples", withSegments(start, segment(0xc0, []byte{8, 0, 5, 0, 9, 1, 1, 0x20, 0})), imagefile.Frame{}},
		{"no width", withSegments(start, segment(0xc0, []byte{8, 0, 5, 0, 0, 1, 1, 0x11, 0})), imagefile.Frame{}},
		{"cut off in the components", withSegments(start, segment(0xc0, []byte(colour)))[:15], imagefile.Frame{}},
		{"empty", nil, imagefile.Frame{}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, err := imagefile.JPEGFrame(bytes.NewReader(row.file), int64(len(row.file)))
			if !reflect.DeepEqual(got, row.want) || (err == nil) != (row.want.Width > 0) {
				t.Errorf("got %+v, error %v", got, err)
			}
			if err != nil && !errors.Is(err, imagefile.ErrUnknown) && !errors.Is(err, imagefile.ErrTruncated) {
				t.Error(err)
			}
		})
	}
}

func TestTIFFBlocks(t *testing.T) {
	t.Parallel()
	field := func(tag, kind uint16, value uint32) []byte {
		return join(binary.LittleEndian, tag, kind, uint32(1), value)
	}
	file := func(fields ...[]byte) []byte {
		return join(binary.LittleEndian, "II*\x00", uint32(8), uint16(len(fields)), bytes.Join(fields, nil), uint32(0))
	}
	rows := []struct {
		name string
		file []byte
		want imagefile.Blocks
	}{
		{"strips", file(field(259, 3, 1), field(278, 4, 16)), imagefile.Blocks{RowsPerStrip: 16}},
		{
			"tiles", file(field(259, 3, 5), field(322, 3, 256), field(323, 4, 128)),
			imagefile.Blocks{TileWidth: 256, TileHeight: 128, Compressed: true},
		},
		{"it says nothing", file(), imagefile.Blocks{}},
		{"no whole number", file(field(278, 5, 16)), imagefile.Blocks{}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got, err := imagefile.TIFFBlocks(bytes.NewReader(row.file), int64(len(row.file))); err != nil || got != row.want {
				t.Errorf("got %+v, error %v", got, err)
			}
		})
	}
	if _, err := imagefile.TIFFBlocks(bytes.NewReader(nil), 0); !errors.Is(err, imagefile.ErrTruncated) {
		t.Error(err)
	}
}

func FuzzLayout(f *testing.F) {
	for _, sample := range samples(f) {
		f.Add(sample.data)
	}
	f.Add(directoryFirst())
	f.Fuzz(func(t *testing.T, data []byte) {
		reader := &counted{ReaderAt: bytes.NewReader(data)}
		frame, err := imagefile.JPEGFrame(reader, int64(len(data)))
		if err == nil && (frame.Width < 1 || frame.Height < 1 || len(frame.Components) < 1 || frame.End > int64(len(data))+1<<16) {
			t.Errorf("got %+v", frame)
		}
		blocks, _ := imagefile.TIFFBlocks(reader, int64(len(data)))
		if blocks.RowsPerStrip < 0 || blocks.TileWidth < 0 || blocks.TileHeight < 0 {
			t.Errorf("got %+v", blocks)
		}
		if reader.bytes > 2<<20 {
			t.Errorf("read %d bytes", reader.bytes)
		}
	})
}
