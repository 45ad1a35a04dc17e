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
			name: "gray", file: withSegments(start, segment(0xe0, []byte("JFIF\x00")), segment(0xc0, []byte(gray))),
			want: imagefile.Frame{Width: 9, Height: 5, Components: []imagefile.Sampling{{Horizontal: 2, Vertical: 2}}, End: 2 + 9 + 13},
		},
		{
			name: "progressive", file: withSegments(start, segment(0xc2, []byte(colour))),
			want: imagefile.Frame{Width: 9, Height: 5, Progressive: true, Components: []imagefile.Sampling{{Horizontal: 2, Vertical: 1}, {Horizontal: 1, Vertical: 1}, {Horizontal: 1, Vertical: 1}}, End: 2 + 19},
		},
		{name: "no frame before the scan", file: withSegments(start, segment(0xda, []byte(gray)))},
		{name: "the end instead", file: []byte("\xff\xd8\xff\xd9")},
		{name: "no components", file: withSegments(start, segment(0xc0, []byte{8, 0, 5, 0, 9, 0}))},
		{name: "too many components", file: withSegments(start, segment(0xc0, append([]byte{8, 0, 5, 0, 9, 5}, make([]byte, 15)...)))},
		{name: "no samples", file: withSegments(start, segment(0xc0, []byte{8, 0, 5, 0, 9, 1, 1, 0x20, 0}))},
		{name: "no width", file: withSegments(start, segment(0xc0, []byte{8, 0, 5, 0, 0, 1, 1, 0x11, 0}))},
		{name: "cut off in the components", file: withSegments(start, segment(0xc0, []byte(colour)))[:15]},
		{name: "empty"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, err := imagefile.JPEGFrame(bytes.NewReader(row.file), int64(len(row.file)))
			if !reflect.DeepEqual(got, row.want) || (err == nil) != (row.want.Width > 0) {
				t.Errorf("got %+v, error %v; want %+v", got, err, row.want)
			}
			if err != nil && !errors.Is(err, imagefile.ErrUnknown) && !errors.Is(err, imagefile.ErrTruncated) {
				t.Errorf("error = %v, want ErrUnknown or ErrTruncated", err)
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
		{name: "strips", file: file(field(259, 3, 1), field(278, 4, 16)), want: imagefile.Blocks{RowsPerStrip: 16}},
		{
			name: "tiles", file: file(field(259, 3, 5), field(322, 3, 256), field(323, 4, 128)),
			want: imagefile.Blocks{TileWidth: 256, TileHeight: 128, Compressed: true},
		},
		{name: "it says nothing", file: file(), want: imagefile.Blocks{}},
		{name: "no whole number", file: file(field(278, 5, 16)), want: imagefile.Blocks{}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got, err := imagefile.TIFFBlocks(bytes.NewReader(row.file), int64(len(row.file))); err != nil || got != row.want {
				t.Errorf("got %+v, error %v; want %+v", got, err, row.want)
			}
		})
	}
	if _, err := imagefile.TIFFBlocks(bytes.NewReader(nil), 0); !errors.Is(err, imagefile.ErrTruncated) {
		t.Errorf("error = %v, want ErrTruncated", err)
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
			t.Errorf("frame = %+v, want a width, a height, components and an end within the file", frame)
		}
		blocks, _ := imagefile.TIFFBlocks(reader, int64(len(data)))
		if blocks.RowsPerStrip < 0 || blocks.TileWidth < 0 || blocks.TileHeight < 0 {
			t.Errorf("blocks = %+v, want no negative numbers", blocks)
		}
		if most := 4*len(data) + 16<<20; reader.bytes > most {
			t.Errorf("read %d bytes, want at most %d", reader.bytes, most)
		}
	})
}
