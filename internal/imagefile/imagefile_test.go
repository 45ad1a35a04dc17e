package imagefile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/imagefile"
)

func inspect(data []byte) (imagefile.Image, error) {
	return imagefile.Inspect(bytes.NewReader(data), int64(len(data)))
}

func TestInspectKnowsEveryKind(t *testing.T) {
	t.Parallel()
	for _, sample := range samples(t) {
		t.Run(sample.name, func(t *testing.T) {
			t.Parallel()
			want := imagefile.Image{MediaType: sample.mediaType, Extension: sample.extension, Width: sample.width, Height: sample.height, Orientation: 1}
			if got, err := inspect(sample.data); err != nil || got != want {
				t.Errorf("got %+v, error %v; want %+v", got, err, want)
			}
		})
	}
}

func TestInspectReadsRareVariants(t *testing.T) {
	t.Parallel()
	jpeg := named(t, "jpeg colour")
	app := bytes.Repeat(segment(0xeb, make([]byte, 65000)), 100) // 6.5 MB of metadata
	tests := []struct {
		name          string
		data          []byte
		mediaType     string
		width, height int
	}{
		{name: "jpeg behind megabytes of metadata", data: withSegments(jpeg, app), mediaType: "image/jpeg", width: sampleWidth, height: sampleHeight},
		{name: "jpeg with stray bytes and fill between segments", data: withSegments(jpeg, segment(0xfe, []byte("a comment")), []byte("stray\xff\xff\xff")), mediaType: "image/jpeg", width: sampleWidth, height: sampleHeight},
		{name: "bmp of OS/2", data: os2BMP(), mediaType: "image/bmp", width: 5, height: 1},
		{name: "bmp from top to bottom", data: builtBMP(3, -2, 24, 0, 0, 24), mediaType: "image/bmp", width: 3, height: 2},
		{name: "bmp without the last padding", data: builtBMP(3, 2, 24, 0, 0, 21), mediaType: "image/bmp", width: 3, height: 2},
		{name: "bmp of run lengths", data: builtBMP(1000, 1000, 8, 1, 20, 20), mediaType: "image/bmp", width: 1000, height: 1000},
		{name: "bmp with 16 bits", data: builtBMP(3, 2, 16, 3, 0, 16), mediaType: "image/bmp", width: 3, height: 2},
		{name: "tiff with the directory first", data: directoryFirst(), mediaType: "image/tiff", width: 5, height: 4},
		{name: "avif in wide forms", data: builtAVIF(), mediaType: "image/avif", width: 900, height: 700},
		{name: "avif with its pixels in meta", data: idatAVIF(), mediaType: "image/avif", width: 900, height: 700},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := inspect(test.data)
			if err != nil || got.MediaType != test.mediaType || got.Width != test.width || got.Height != test.height {
				t.Errorf("got %+v, error %v; want %s, %d x %d", got, err, test.mediaType, test.width, test.height)
			}
		})
	}
}

// What is appended to an image does not make it incomplete.
func TestInspectToleratesWhatIsAppended(t *testing.T) {
	t.Parallel()
	random := make([]byte, 200<<10)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(random)
	video := bytes.ReplaceAll(random, []byte{0xff, 0xd9}, []byte{0xff, 0x20}) // no end marker by chance
	tests := []struct {
		name     string
		appended []byte
	}{
		{name: "png rgb", appended: random},
		{name: "jpeg colour", appended: video},
		{name: "progressive.jpg", appended: make([]byte, 1000)},
		{name: "gif", appended: random},
		{name: "bmp rgb", appended: random},
		{name: "webp lossless", appended: random},
		{name: "animated.webp", appended: random},
		{name: "tiff", appended: random},
		{name: "still.avif", appended: random},
		{name: "still.avif", appended: []byte{0}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got, err := inspect(slices.Concat(named(t, test.name), test.appended)); err != nil {
				t.Errorf("got %+v, error = %v, want none", got, err)
			}
		})
	}
}

// A prefix of a file is never taken for the whole, unless only padding is missing.
func TestInspectNoticesEveryTruncation(t *testing.T) {
	t.Parallel()
	slack := map[string]int{".bmp": 3, ".webp": 1} // bytes of padding
	for _, sample := range samples(t) {
		t.Run(sample.name, func(t *testing.T) {
			t.Parallel()
			passed := 0
			for length := range len(sample.data) {
				_, err := inspect(sample.data[:length])
				switch {
				case err == nil:
					passed++
				case !errors.Is(err, imagefile.ErrTruncated) && !errors.Is(err, imagefile.ErrUnknown):
					t.Errorf("%d of %d bytes: error = %v, want ErrTruncated or ErrUnknown", length, len(sample.data), err)
				case length > len(sample.data)*9/10 && !errors.Is(err, imagefile.ErrTruncated):
					t.Errorf("%d of %d bytes: %v, want ErrTruncated", length, len(sample.data), err)
				}
			}
			if most := slack[sample.extension]; passed > most {
				t.Errorf("%d of %d prefixes pass for the whole, want at most %d", passed, len(sample.data), most)
			}
		})
	}
}

func TestInspectRefusesHalves(t *testing.T) {
	t.Parallel()
	jpeg := named(t, "jpeg colour")
	cut := jpeg[:len(jpeg)*2/3]
	thumbnail := segment(0xe1, slices.Concat([]byte("Exif\x00\x00"), jpeg)) // with an end marker of its own
	tests := []struct {
		name string
		data []byte
	}{
		{name: "jpeg with a whole thumbnail", data: withSegments(cut, thumbnail)},
		{name: "jpeg whose second half is zeros", data: slices.Concat(cut, make([]byte, 100<<10))},
		{name: "png of one long chunk", data: builtPNG(5, 5, uint32(500<<10), "IDAT", make([]byte, 400<<10))},
		{name: "png without chunks", data: builtPNG(5, 5)},
		{name: "tiff whose last strip is short", data: directoryFirst()[:150]},
		{name: "bmp bomb", data: builtBMP(math.MaxInt32, math.MaxInt32, 32, 0, 0, 100)},
		{name: "bmp of run lengths", data: builtBMP(10, 10, 8, 1, 21, 20)},
		{name: "bmp whose pixels begin beyond the end", data: builtBMP(1, 1, 32, 0, 0, 0)},
		{name: "avif without pixels", data: builtAVIF()[:24]},
		{name: "avif of pixels that are missing", data: join(binary.BigEndian, idatAVIF()[:24+8], "\x00\x00\x00\x00")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got, err := inspect(test.data); err == nil {
				t.Errorf("got %+v, want an error", got)
			}
		})
	}
}

func TestInspectSaysTruncatedWhenTheFileIsShorterThanItsSize(t *testing.T) {
	t.Parallel()
	data := named(t, "png rgb")
	_, err := imagefile.Inspect(bytes.NewReader(data[:len(data)/2]), int64(len(data)))
	if !errors.Is(err, imagefile.ErrTruncated) {
		t.Errorf("error = %v, want ErrTruncated", err)
	}
}

func TestInspectRefusesWhatIsNoImage(t *testing.T) {
	t.Parallel()
	png, bmp := named(t, "png rgb"), named(t, "bmp rgb")
	tests := []struct {
		name string
		data []byte
	}{
		{name: "nothing"},
		{name: "one byte", data: []byte{0x89}},
		{name: "html", data: []byte("<!DOCTYPE html><html><body>Not found</body></html>")},
		{name: "svg", data: []byte(`<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>`)},
		{name: "text that begins like a bmp", data: []byte("BMW builds cars, motorcycles and engines.")},
		{name: "heic", data: isoBox("ftyp", "heic\x00\x00\x00\x00mif1heic")},
		{name: "mp4", data: isoBox("ftyp", "isom\x00\x00\x02\x00isomiso2avc1mp41")},
		{name: "avif of moving pictures only", data: slices.Concat(isoBox("ftyp", "avis\x00\x00\x00\x00"), isoBox("moov", "x"), isoBox("mdat", "x"))},
		{name: "avif whose box is shorter than its head", data: slices.Concat(isoBox("ftyp", "avif"), []byte("\x00\x00\x00\x04metaxxxx"))},
		{name: "avif whose inner box does not fit", data: avifOf(uint32(0), uint32(100), "pitm", uint32(0), uint16(1))},
		{name: "avif whose properties do not fit", data: avifOf(uint32(0), isoBox("iprp", uint32(100), "ipco"))},
		{name: "avif without primary item", data: avifOf(uint32(0))},
		{name: "avif whose table is short", data: avifOf(uint32(0), isoBox("pitm", uint32(0), uint16(1)),
			isoBox("iprp", isoBox("ipma", uint32(0), uint32(9), uint16(1), uint8(9), uint8(1))))},
		{name: "wav", data: []byte("RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00")},
		{name: "webp of an unknown chunk", data: []byte("RIFF\x0c\x00\x00\x00WEBPABCD\x00\x00\x00\x00")},
		{name: "webp lossless without signature", data: []byte("RIFF\x12\x00\x00\x00WEBPVP8L\x05\x00\x00\x00abcdef")},
		{name: "webp lossy without key frame", data: []byte("RIFF\x16\x00\x00\x00WEBPVP8 \x0a\x00\x00\x00\x01bc\x9d\x01\x2aghij")},
		{name: "png with a wrong checksum", data: slices.Concat(png[:30], []byte("XXX"), png[33:])},
		{name: "png without width", data: builtPNG(0, 5, pngTrailer)},
		{name: "png too high", data: builtPNG(5, 1<<31, pngTrailer)},
		{name: "bmp of three planes", data: slices.Concat(bmp[:26], []byte{3}, bmp[27:])},
		{name: "bmp of no height", data: builtBMP(5, 0, 24, 0, 0, 100)},
		{name: "bmp of negative width", data: builtBMP(-5, 5, 24, 0, 0, 100)},
		{name: "gif of no width", data: []byte("GIF89a\x00\x00\x05\x00\x00\x00\x00\x00;")},
		{name: "jpeg of markers only", data: []byte("\xff\xd8\xff\xd9")},
		{name: "jpeg without frame header", data: []byte("\xff\xd8\xff\xda\x00\x02xx\xff\xd9")},
		{name: "jpeg without height", data: []byte("\xff\xd8\xff\xc0\x00\x08\x08\x00\x00\x00\x05\x01\xff\xda\x00\x02xx\xff\xd9")},
		{name: "jpeg segment of length 1", data: []byte("\xff\xd8\xff\xe0\x00\x01xxxxxxxx\xff\xd9")},
		{name: "tiff without fields", data: join(binary.LittleEndian, "II*\x00", uint32(8), uint16(0), uint32(0))},
		{name: "tiff of text", data: join(binary.LittleEndian, "II*\x00", uint32(8), uint16(1), uint16(256), uint16(2), uint32(1), uint32(5), uint32(0))},
		{name: "bigtiff of strange offsets", data: []byte("II+\x00\x04\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got, err := inspect(test.data); !errors.Is(err, imagefile.ErrUnknown) {
				t.Errorf("got %+v, error %v; want ErrUnknown", got, err)
			}
		})
	}
}

// A header that claims as many pixels as it can is believed, and costs nothing.
func TestInspectBelievesABomb(t *testing.T) {
	t.Parallel()
	got, err := inspect(builtPNG(math.MaxInt32, math.MaxInt32, pngPixels, pngTrailer))
	if err != nil || got.Pixels() != math.MaxInt32*math.MaxInt32 {
		t.Errorf("got %+v of %d pixels, error %v; want %d pixels", got, got.Pixels(), err, int64(math.MaxInt32*math.MaxInt32))
	}
}

// hostile are files that lead a reader around.
func hostile() map[string][]byte {
	const much = 4 << 20
	fields := strings.Repeat("\x00\x01\x00\x04\xff\xff\xff\xff\xff\xff\xff\xff", 65535)
	return map[string][]byte{
		"png of empty chunks":       builtPNG(5, 5, bytes.Repeat([]byte("\x00\x00\x00\x00teXt\x00\x00\x00\x00"), much/12)),
		"jpeg of fill bytes":        slices.Concat([]byte{0xff, 0xd8}, bytes.Repeat([]byte{0xff}, much)),
		"jpeg of empty segments":    slices.Concat([]byte{0xff, 0xd8}, bytes.Repeat([]byte("\xff\xe0\x00\x02"), much/4)),
		"jpeg of stray bytes":       slices.Concat([]byte{0xff, 0xd8, 0xff}, make([]byte, much)),
		"tiff of many fields":       join(binary.BigEndian, "MM\x00*", uint32(8), uint16(65535), fields),
		"bigtiff of endless fields": join(binary.BigEndian, "MM\x00+\x00\x08\x00\x00", uint64(16), uint64(math.MaxUint64), fields),
		"bigtiff of far directory":  join(binary.BigEndian, "MM\x00+\x00\x08\x00\x00", uint64(math.MaxUint64), fields),
		"avif of empty boxes":       slices.Concat(isoBox("ftyp", "avifavifavif"), bytes.Repeat(isoBox("free"), much/8)),
		"avif of endless box":       join(binary.BigEndian, isoBox("ftyp", "avifavifavif"), uint32(1), "free", uint64(math.MaxUint64)),
		"avif of endless brands":    join(binary.BigEndian, uint32(1), "ftyp", uint64(math.MaxUint64), strings.Repeat("isom", 1000)),
		"avif of many properties":   manyProperties(),
	}
}

// manyProperties has megabytes in each of the boxes that are searched.
func manyProperties() []byte {
	table := isoBox("ipma", uint32(0), uint32(math.MaxUint32), bytes.Repeat([]byte("\x00\x02\x00"), 1<<20))
	return slices.Concat(isoBox("ftyp", "avif\x00\x00\x00\x00avif"), isoBox("mdat", "x"),
		isoBox("meta", uint32(0), isoBox("pitm", uint32(0), uint16(1)),
			isoBox("iprp", isoBox("ipco", bytes.Repeat(isoBox("free"), 1<<18)), table, table)))
}

// counted counts what is read.
type counted struct {
	io.ReaderAt
	bytes, reads int
}

func (c *counted) ReadAt(p []byte, offset int64) (int, error) {
	c.bytes += len(p)
	c.reads++
	return c.ReaderAt.ReadAt(p, offset)
}

// Not parallel: it measures the memory of the process.
func TestInspectReadsAndAllocatesWithinItsBounds(t *testing.T) {
	for name, data := range hostile() {
		reader := &counted{ReaderAt: bytes.NewReader(data)}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := imagefile.Inspect(reader, int64(len(data)))
		runtime.ReadMemStats(&after)
		if !errors.Is(err, imagefile.ErrUnknown) && !errors.Is(err, imagefile.ErrTruncated) && err != nil {
			t.Errorf("%s: error = %v, want none, ErrUnknown or ErrTruncated", name, err)
		}
		if most := 2*len(data) + 8<<20; reader.bytes > most || reader.reads > 1<<14 {
			t.Errorf("%s: read %d bytes in %d reads, want at most %d bytes in %d reads", name, reader.bytes, reader.reads, most, 1<<14)
		}
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > memoryFactor*4<<20 {
			t.Errorf("%s: allocated %d bytes, want at most %d", name, allocated, memoryFactor*4<<20)
		}
	}
}

type broken struct{ err error }

func (b broken) ReadAt([]byte, int64) (int, error) { return 0, b.err }

func TestInspectReturnsReadErrors(t *testing.T) {
	t.Parallel()
	fault := errors.New("input/output error")
	_, err := imagefile.Inspect(broken{fault}, 1000)
	if !errors.Is(err, fault) || errors.Is(err, imagefile.ErrUnknown) || errors.Is(err, imagefile.ErrTruncated) {
		t.Errorf("error = %v, want %v alone", err, fault)
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, head, want string }{
		{name: "nothing", want: "an empty file"},
		{name: "html", head: "<!DOCTYPE html><html><head>", want: "text/html"},
		{name: "json", head: `{"message":"Job not found"}`, want: "application/json"},
		{name: "xml", head: `<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code></Error>`, want: "text/xml"},
		{name: "text", head: "no such file\n", want: "text/plain"},
		{name: "pdf", head: "%PDF-1.7\n", want: "application/pdf"},
		{name: "noise", head: "\x00\x01\x02\x9d\xfe\x03", want: "unknown data"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := imagefile.Describe([]byte(test.head)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func FuzzInspect(f *testing.F) {
	for _, sample := range samples(f) {
		f.Add(sample.data)
	}
	for _, data := range [][]byte{os2BMP(), directoryFirst(), builtAVIF(), idatAVIF(), builtPNG(1, 1, pngTrailer), []byte("<html>")} {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		reader := &counted{ReaderAt: bytes.NewReader(data)}
		got, err := imagefile.Inspect(reader, int64(len(data)))
		switch {
		case err != nil && !errors.Is(err, imagefile.ErrUnknown) && !errors.Is(err, imagefile.ErrTruncated):
			t.Errorf("unexpected error %v", err)
		case err != nil && !errors.Is(err, imagefile.ErrNoEnd) && got != imagefile.Image{}:
			t.Errorf("got %+v and error %v, want one of them", got, err)
		case err == nil && (got.Width < 1 || got.Height < 1 || got.Pixels() < 1 || got.MediaType == "" || got.Extension == ""):
			t.Errorf("got %+v, want a format, a width and a height", got)
		}
		if most := 2*len(data) + 8<<20; reader.bytes > most {
			t.Errorf("read %d bytes, want at most %d", reader.bytes, most)
		}
		imagefile.Describe(data)
	})
}
