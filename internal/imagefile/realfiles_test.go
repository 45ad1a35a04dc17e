package imagefile_test

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/imagefile"
)

// toolsVariable is set where the image tools of Debian are installed (see .ci/with-servers): libjpeg-turbo-progs, webp,
// libavif-bin, libtiff-tools and imagemagick.
const toolsVariable = "TEST_IMAGE_TOOLS"

// toolFile is a file that a tool makes of in.png, and what Inspect returns for it. The command is run by a shell in a
// folder with in.png, in.ppm, in2.png and alpha.png of width x height pixels; out is the file that it makes.
type toolFile struct {
	out, command string
	want         imagefile.Image
	slack        int // bytes at the end that a reader does not need
}

const (
	toolWidth  = 301
	toolHeight = 203
)

func toolFiles() []toolFile {
	jpeg := imagefile.Image{MediaType: "image/jpeg", Extension: ".jpg", Width: toolWidth, Height: toolHeight, Orientation: 1}
	png := imagefile.Image{MediaType: "image/png", Extension: ".png", Width: toolWidth, Height: toolHeight, Orientation: 1}
	gif := imagefile.Image{MediaType: "image/gif", Extension: ".gif", Width: toolWidth, Height: toolHeight, Orientation: 1}
	bmp := imagefile.Image{MediaType: "image/bmp", Extension: ".bmp", Width: toolWidth, Height: toolHeight, Orientation: 1}
	webp := imagefile.Image{MediaType: "image/webp", Extension: ".webp", Width: toolWidth, Height: toolHeight, Orientation: 1}
	tiff := imagefile.Image{MediaType: "image/tiff", Extension: ".tiff", Width: toolWidth, Height: toolHeight, Orientation: 1}
	avif := imagefile.Image{MediaType: "image/avif", Extension: ".avif", Width: toolWidth, Height: toolHeight, Orientation: 1}
	turned := func(image imagefile.Image, orientation int) imagefile.Image {
		image.Orientation = orientation
		if orientation > 4 {
			image.Width, image.Height = image.Height, image.Width
		}
		return image
	}
	sideways := avif
	sideways.Width, sideways.Height = toolHeight, toolWidth
	list := []toolFile{
		{out: "baseline.jpg", command: "cjpeg -outfile baseline.jpg in.ppm", want: jpeg},
		{out: "progressive.jpg", command: "cjpeg -progressive -outfile progressive.jpg in.ppm", want: jpeg},
		{out: "arithmetic.jpg", command: "cjpeg -arithmetic -outfile arithmetic.jpg in.ppm", want: jpeg},
		{out: "restart.jpg", command: "cjpeg -restart 1 -outfile restart.jpg in.ppm", want: jpeg},
		{out: "optimized.jpg", command: "cjpeg -optimize -quality 95 -sample 1x1 -outfile optimized.jpg in.ppm", want: jpeg},
		{out: "gray.jpg", command: "cjpeg -grayscale -outfile gray.jpg in.ppm", want: jpeg},
		{out: "cmyk.jpg", command: "convert in.png -colorspace CMYK cmyk.jpg", want: jpeg},
		{out: "thumbnail.jpg", command: thumbnailInside, want: jpeg},
		{out: "rgb.png", command: "convert in.png -strip rgb.png", want: png},
		{out: "interlaced.png", command: "convert in.png -interlace PNG interlaced.png", want: png},
		{out: "rgba16.png", command: "convert alpha.png -depth 16 PNG64:rgba16.png", want: png},
		{out: "palette.png", command: "convert in.png -colors 16 PNG8:palette.png", want: png},
		{out: "bilevel.png", command: "convert in.png -monochrome bilevel.png", want: png},
		{out: "still.gif", command: "convert in.png still.gif", want: gif},
		{out: "interlaced.gif", command: "convert in.png -interlace GIF interlaced.gif", want: gif},
		{out: "animated.gif", command: "convert -delay 10 in.png in2.png -loop 0 animated.gif", want: gif},
		{out: "transparent.gif", command: "convert alpha.png transparent.gif", want: gif},
		{out: "bmp3.bmp", command: "convert in.png BMP3:bmp3.bmp", want: bmp, slack: 3},
		{out: "bmp2.bmp", command: "convert in.png BMP2:bmp2.bmp", want: bmp, slack: 3},
		{out: "bmp4.bmp", command: "convert alpha.png bmp4.bmp", want: bmp, slack: 3},
		{out: "palette.bmp", command: "convert in.png -colors 16 -type palette BMP3:palette.bmp", want: bmp, slack: 3},
		{out: "rle.bmp", command: "convert in.png -colors 200 -type palette -compress RLE BMP3:rle.bmp", want: bmp, slack: 3},
		{out: "bilevel.bmp", command: "convert in.png -monochrome BMP3:bilevel.bmp", want: bmp, slack: 3},
		{out: "lossy.webp", command: "cwebp -quiet in.png -o lossy.webp", want: webp, slack: 1},
		{out: "lossless.webp", command: "cwebp -quiet -lossless in.png -o lossless.webp", want: webp, slack: 1},
		{out: "alpha.webp", command: "cwebp -quiet alpha.png -o alpha.webp", want: webp, slack: 1},
		{out: "animated.webp", command: "img2webp -d 100 -lossy in.png in2.png -o animated.webp", want: webp, slack: 1},
		{out: "extended.webp", command: "cwebp -quiet alpha.png -o x.webp && printf metadata >x.xmp && webpmux -set xmp x.xmp x.webp -o extended.webp", want: webp, slack: 1},
		{out: "fromgif.webp", command: "convert -delay 10 in.png in2.png fromgif.gif && gif2webp -quiet fromgif.gif -o fromgif.webp", want: webp, slack: 1},
		{out: "many.png", command: "convert in.png -compress none -define png:compression-level=0 many.png", want: png},
		{out: "strips.tiff", command: "convert in.png -compress none a.tiff && tiffcp -c none -r 8 a.tiff strips.tiff", want: tiff},
		{out: "lzw.tiff", command: "convert in.png -compress none b.tiff && tiffcp -c lzw b.tiff lzw.tiff", want: tiff},
		{out: "zip.tiff", command: "convert in.png -compress none c.tiff && tiffcp -c zip -B c.tiff zip.tiff", want: tiff},
		{out: "packbits.tiff", command: "convert in.png -compress none d.tiff && tiffcp -c packbits d.tiff packbits.tiff", want: tiff},
		{out: "jpeg.tiff", command: "convert in.png -compress none e.tiff && tiffcp -c jpeg:r -r 16 e.tiff jpeg.tiff", want: tiff},
		{out: "fax.tiff", command: "convert in.png -monochrome -compress Group4 fax.tiff", want: tiff},
		{out: "tiles.tiff", command: "convert in.png -compress none f.tiff && tiffcp -c none -t -w 64 -l 64 f.tiff tiles.tiff", want: tiff},
		{out: "pages.tiff", command: "convert in.png in2.png -compress none g.tiff && tiffcp -c lzw g.tiff pages.tiff", want: tiff},
		{out: "big.tiff", command: "convert in.png in2.png -compress none h.tiff && tiffcp -8 -c lzw -t -w 16 -l 16 h.tiff big.tiff", want: tiff},
		{out: "float.tiff", command: "convert in.png -depth 32 -define quantum:format=floating-point float.tiff", want: tiff},
		{out: "alpha.tiff", command: "convert alpha.png alpha.tiff", want: tiff},
		{out: "still.avif", command: "avifenc -s 10 in.png still.avif", want: avif},
		{out: "lossless.avif", command: "avifenc -s 10 --lossless in.png lossless.avif", want: avif},
		{out: "deep.avif", command: "avifenc -s 10 -d 10 -y 422 in.png deep.avif", want: avif},
		{out: "alpha.avif", command: "avifenc -s 10 alpha.png alpha.avif", want: avif},
		{out: "sequence.avif", command: "avifenc -s 10 in.png in2.png sequence.avif", want: avif},
		{out: "sideways.avif", command: "avifenc -s 10 --irot 1 in.png sideways.avif", want: sideways},
	}
	for orientation, name := range []string{"", "TopLeft", "TopRight", "BottomRight", "BottomLeft", "LeftTop", "RightTop", "RightBottom", "LeftBottom"} {
		if orientation == 0 {
			continue
		}
		list = append(list, toolFile{
			out: name + ".tiff", command: "convert in.png -orient " + name + " " + name + ".tiff", want: turned(tiff, orientation),
		})
	}
	return list
}

// thumbnailInside makes a JPEG with a whole JPEG in its metadata, which has an end marker of its own.
const thumbnailInside = `cjpeg -quality 20 -outfile small.jpg in.ppm && cjpeg -outfile plain.jpg in.ppm && { head -c 2 plain.jpg;
	printf '\377\341'; n=$(($(stat -c %s small.jpg) + 2)); printf "\\$(printf %o $((n >> 8)))\\$(printf %o $((n & 255)))"; cat small.jpg; tail -c +3 plain.jpg; } >thumbnail.jpg`

// Files of real encoders are whole, also with bytes behind them; no cut of one is taken for whole.
func TestInspectFilesOfRealTools(t *testing.T) {
	t.Parallel()
	if os.Getenv(toolsVariable) == "" {
		t.Skip(toolsVariable + " is not set: files of real encoders are not tested; .ci/with-servers installs the tools")
	}
	folder := t.TempDir()
	writeToolInput(t, folder)
	for _, file := range toolFiles() {
		t.Run(file.out, func(t *testing.T) {
			t.Parallel()
			command := exec.CommandContext(t.Context(), "bash", "-ec", file.command)
			command.Dir = folder
			if output, err := command.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", file.command, err, output)
			}
			data := readFile(t, filepath.Join(folder, file.out))
			checkWhole(t, data, file.want)
			checkCuts(t, data, len(data)-file.slack)
		})
	}
}

// checkWhole inspects a file as it is, and with bytes added behind.
func checkWhole(t *testing.T, data []byte, want imagefile.Image) {
	t.Helper()
	noise := make([]byte, 100<<10)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(noise)
	tails := []struct {
		name string
		tail []byte
	}{
		{name: "nothing"},
		{name: "a zero", tail: []byte{0}},
		{name: "100 KiB of zeros", tail: make([]byte, 100<<10)},
		{name: "text", tail: []byte(strings.Repeat("<!-- cached -->\r\n", 100))},
		{name: "noise", tail: noise},
	}
	for _, row := range tails {
		got, err := inspect(slices.Concat(data, row.tail))
		if err != nil || got != want {
			t.Errorf("with %s behind: got %+v, error %v; want %+v", row.name, got, err, want)
		}
	}
}

// checkCuts inspects the file cut at 200 random places below limit.
func checkCuts(t *testing.T, data []byte, limit int) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, uint64(len(data))))
	for range 200 {
		length := random.IntN(limit)
		_, err := inspect(data[:length])
		if !errors.Is(err, imagefile.ErrTruncated) && !errors.Is(err, imagefile.ErrUnknown) {
			t.Errorf("%d of %d bytes: error = %v, want ErrTruncated or ErrUnknown", length, len(data), err)
		}
	}
}

// writeToolInput writes the pictures that the commands read.
func writeToolInput(t *testing.T, folder string) {
	t.Helper()
	bounds := image.Rect(0, 0, toolWidth, toolHeight)
	for _, input := range []struct {
		name  string
		alpha bool
		shift int
	}{{name: "in.png"}, {name: "in2.png", shift: 50}, {name: "alpha.png", alpha: true}} {
		picture := image.NewNRGBA(bounds)
		random := rand.New(rand.NewPCG(3, 4))
		for y := range toolHeight {
			for x := range toolWidth {
				c := color.NRGBA{R: uint8(x + input.shift), G: uint8(y), B: uint8(random.IntN(64)), A: 255}
				if input.alpha {
					c.A = uint8(x)
				}
				picture.SetNRGBA(x, y, c)
			}
		}
		var data bytes.Buffer
		if err := png.Encode(&data, picture); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, input.name), data.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	convert := exec.CommandContext(t.Context(), "convert", "in.png", "in.ppm")
	convert.Dir = folder
	if output, err := convert.CombinedOutput(); err != nil {
		t.Fatalf("convert: %v\n%s", err, output)
	}
}
