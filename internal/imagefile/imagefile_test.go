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
			want := imagefile.Image{MediaType: sample.mediaType, Extension: sample.extension, Width: sample.width, Height: sample.height}
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
		{"jpeg behind megabytes of metadata", withSegments(jpeg, app), "image/jpeg", sampleWidth, sampleHeight},
		{"jpeg with stray bytes and fill between segments", withSegments(jpeg, segment(0xfe, []byte("a comment")), []byte("stray\xff\xff\xff")), "image/jpeg", sampleWidth, sampleHeight},
		{"bmp of OS/2", os2BMP(), "image/bmp", 5, 1},
		{"bmp from top to bottom", builtBMP(3, -2, 24, 0, 0, 24), "image/bmp", 3, 2},
		{"bmp without the last padding", builtBMP(3, 2, 24, 0, 0, 21), "image/bmp", 3, 2},
		{"bmp of run lengths", builtBMP(1000, 1000, 8, 1, 20, 20), "image/bmp", 1000, 1000},
		{"bmp with 16 bits", builtBMP(3, 2, 16, 3, 0, 16), "image/bmp", 3, 2},
		{"tiff with the directory first", directoryFirst(), "image/tiff", 5, 4},
		{"avif in wide forms", builtAVIF(), "image/avif", 900, 700},
		{"avif with its pixels in meta", idatAVIF(), "image/avif", 900, 700},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := inspect(test.data)
			if err != nil || got.MediaType != test.mediaType || got.Width != test.width || got.Height != test.height {
				t.Errorf("got %+v, error %v", got, err)
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
		{"png rgb", random},
		{"jpeg colour", video},
		{"progressive.jpg", make([]byte, 1000)},
		{"gif", random[:500]},
		{"bmp rgb", random},
		{"webp lossless", random},
		{"animated.webp", random},
		{"tiff", random},
		{"still.avif", random},
		{"still.avif", []byte{0}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got, err := inspect(slices.Concat(named(t, test.name), test.appended)); err != nil {
				t.Errorf("got %+v, error %v", got, err)
			}
		})
	}
}

// A prefix of a file is never taken for the whole, but for what only rounds it
// off: padding, TIFF values of no importance, a GIF that may have forgotten its trailer.
func TestInspectNoticesEveryTruncation(t *testing.T) {
	t.Parallel()
	slack := map[string]float64{".gif": 0.03, ".bmp": 0.03, ".tiff": 0.05}
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
					t.Errorf("%d of %d bytes: %v", length, len(sample.data), err)
				case length > len(sample.data)*9/10 && !errors.Is(err, imagefile.ErrTruncated):
					t.Errorf("%d of %d bytes: %v, want ErrTruncated", length, len(sample.data), err)
				}
			}
			if float64(passed) > slack[sample.extension]*float64(len(sample.data)) {
				t.Errorf("%d of %d prefixes pass for the whole", passed, len(sample.data))
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
		{"jpeg with a whole thumbnail", withSegments(cut, thumbnail)},
		{"jpeg whose second half is zeros", slices.Concat(cut, make([]byte, 100<<10))},
		{"png of one long chunk", builtPNG(5, 5, uint32(500<<10), "IDAT", make([]byte, 400<<10))},
		{"png without chunks", builtPNG(5, 5)},
		{"tiff whose last strip is short", directoryFirst()[:150]},
		{"bmp bomb", builtBMP(math.MaxInt32, math.MaxInt32, 32, 0, 0, 100)},
		{"bmp of run lengths", builtBMP(10, 10, 8, 1, 21, 20)},
		{"bmp whose pixels begin beyond the end", builtBMP(1, 1, 32, 0, 0, 0)},
		{"avif without pixels", builtAVIF()[:24]},
		{"avif of pixels that are missing", join(binary.BigEndian, idatAVIF()[:24+8], "\x00\x00\x00\x00")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got, err := inspect(test.data); err == nil {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestInspectSaysTruncatedWhenTheFileIsShorterThanItsSize(t *testing.T) {
	t.Parallel()
	data := named(t, "png rgb")
	_, err := imagefile.Inspect(bytes.NewReader(data[:len(data)/2]), int64(len(data)))
	if !errors.Is(err, imagefile.ErrTruncated) {
		t.Errorf("got %v", err)
	}
}

func TestInspectRefusesWhatIsNoImage(t *testing.T) {
	t.Parallel()
	png, bmp := named(t, "png rgb"), named(t, "bmp rgb")
	tests := []struct {
		name string
		data []byte
	}{
		{"nothing", nil},
		{"one byte", []byte{0x89}},
		{"html", []byte("<!DOCTYPE html><html><body>Not found</body></html>")},
		{"svg", []byte(`<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>`)},
		{"text that begins like a bmp", []byte("BMW builds cars, motorcycles and engines.")},
		{"heic", isoBox("ftyp", "heic\x00\x00\x00\x00mif1heic")},
		{"mp4", isoBox("ftyp", "isom\x00\x00\x02\x00isomiso2avc1mp41")},
		{"avif of moving pictures only", slices.Concat(isoBox("ftyp", "avis\x00\x00\x00\x00"), isoBox("moov", "x"), isoBox("mdat", "x"))},
		{"avif whose box is shorter than its head", slices.Concat(isoBox("ftyp", "avif"), []byte("\x00\x00\x00\x04metaxxxx"))},
		{"avif whose inner box does not fit", avifOf(uint32(0), uint32(100), "pitm", uint32(0), uint16(1))},
		{"avif whose properties do not fit", avifOf(uint32(0), isoBox("iprp", uint32(100), "ipco"))},
		{"avif without primary item", avifOf(uint32(0))},
		{"avif whose table is short", avifOf(uint32(0), isoBox("pitm", uint32(0), uint16(1)),
			isoBox("iprp", isoBox("ipma", uint32(0), uint32(9), uint16(1), uint8(9), uint8(1))))},
		{"wav", []byte("RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00")},
		{"webp of an unknown chunk", []byte("RIFF\x0c\x00\x00\x00WEBPABCD\x00\x00\x00\x00")},
		{"webp lossless without signature", []byte("RIFF\x12\x00\x00\x00WEBPVP8L\x05\x00\x00\x00abcdef")},
		{"webp lossy without key frame", []byte("RIFF\x16\x00\x00\x00WEBPVP8 \x0a\x00\x00\x00\x01bc\x9d\x01\x2aghij")},
		{"png with a wrong checksum", slices.Concat(png[:30], []byte("XXX"), png[33:])},
		{"png without width", builtPNG(0, 5, pngTrailer)},
		{"png too high", builtPNG(5, 1<<31, pngTrailer)},
		{"bmp of three planes", slices.Concat(bmp[:26], []byte{3}, bmp[27:])},
		{"bmp of no height", builtBMP(5, 0, 24, 0, 0, 100)},
		{"bmp of negative width", builtBMP(-5, 5, 24, 0, 0, 100)},
		{"gif of no width", []byte("GIF89a\x00\x00\x05\x00\x00\x00\x00\x00;")},
		{"jpeg of markers only", []byte("\xff\xd8\xff\xd9")},
		{"jpeg without frame header", []byte("\xff\xd8\xff\xda\x00\x02xx\xff\xd9")},
		{"jpeg without height", []byte("\xff\xd8\xff\xc0\x00\x08\x08\x00\x00\x00\x05\x01\xff\xda\x00\x02xx\xff\xd9")},
		{"jpeg segment of length 1", []byte("\xff\xd8\xff\xe0\x00\x01xxxxxxxx\xff\xd9")},
		{"tiff without fields", join(binary.LittleEndian, "II*\x00", uint32(8), uint16(0), uint32(0))},
		{"tiff of text", join(binary.LittleEndian, "II*\x00", uint32(8), uint16(1), uint16(256), uint16(2), uint32(1), uint32(5), uint32(0))},
		{"bigtiff of strange offsets", []byte("II+\x00\x04\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got, err := inspect(test.data); !errors.Is(err, imagefile.ErrUnknown) {
				t.Errorf("got %+v, error %v", got, err)
			}
		})
	}
}

// A header that claims as many pixels as it can is believed, and costs nothing.
func TestInspectBelievesABomb(t *testing.T) {
	t.Parallel()
	got, err := inspect(builtPNG(math.MaxInt32, math.MaxInt32, pngTrailer))
	if err != nil || got.Pixels() != math.MaxInt32*math.MaxInt32 {
		t.Errorf("got %+v of %d pixels, error %v", got, got.Pixels(), err)
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
func TestInspectReadsLittleWhateverTheHeaderClaims(t *testing.T) {
	for name, data := range hostile() {
		reader := &counted{ReaderAt: bytes.NewReader(data)}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := imagefile.Inspect(reader, int64(len(data)))
		runtime.ReadMemStats(&after)
		if !errors.Is(err, imagefile.ErrUnknown) && !errors.Is(err, imagefile.ErrTruncated) && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if reader.bytes > 1<<20 || reader.reads > 1<<14 {
			t.Errorf("%s: %d bytes in %d reads", name, reader.bytes, reader.reads)
		}
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 2<<20 {
			t.Errorf("%s: allocated %d bytes", name, allocated)
		}
	}
}

type broken struct{ err error }

func (b broken) ReadAt([]byte, int64) (int, error) { return 0, b.err }

func TestInspectPassesReadErrorsOn(t *testing.T) {
	t.Parallel()
	fault := errors.New("the disk is on fire")
	_, err := imagefile.Inspect(broken{fault}, 1000)
	if !errors.Is(err, fault) || errors.Is(err, imagefile.ErrUnknown) || errors.Is(err, imagefile.ErrTruncated) {
		t.Errorf("got %v", err)
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, head, want string }{
		{"nothing", "", "an empty file"},
		{"html", "<!DOCTYPE html><html><head>", "text/html"},
		{"json", `{"message":"Job not found"}`, "application/json"},
		{"xml", `<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code></Error>`, "text/xml"},
		{"text", "no such file\n", "text/plain"},
		{"pdf", "%PDF-1.7\n", "application/pdf"},
		{"noise", "\x00\x01\x02\x9d\xfe\x03", "unknown data"},
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
		case err != nil && got != imagefile.Image{}:
			t.Errorf("an error and %+v", got)
		case err == nil && (got.Width < 1 || got.Height < 1 || got.Pixels() < 1 || got.MediaType == "" || got.Extension == ""):
			t.Errorf("got %+v", got)
		}
		if reader.bytes > 1<<20 {
			t.Errorf("read %d bytes", reader.bytes)
		}
		imagefile.Describe(data)
	})
}
