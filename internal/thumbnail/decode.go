package thumbnail

import (
	"fmt"
	"image"
	_ "image/gif" // registers the format
	"image/jpeg"
	_ "image/png" // registers the format
	"io"

	"github.com/deepimage-receiver/receiver/internal/imagefile"
	_ "golang.org/x/image/bmp" // registers the format
	"golang.org/x/image/tiff"
	_ "golang.org/x/image/webp" // registers the format
)

const (
	// maxOpening is the number of bytes within which the headers of a file must be: cameras put megabytes before them.
	maxOpening = 8 << 20
	// maxScans bounds the scans of a JPEG. Programs write about ten; each makes the decoder process all pixels.
	maxScans = 100
)

// picture describes an image that is about to be decoded, from its headers.
type picture struct {
	opening *opening
	format  string // as package image names it
	config  image.Config
	frame   imagefile.Frame  // of a JPEG
	blocks  imagefile.Blocks // of a TIFF

	orientation int // from 1 to 8, as in EXIF
}

// inspect reads the headers of an image.
func inspect(file *source) (picture, error) {
	p := picture{opening: &opening{source: file}}
	var err error
	if isTIFF(p.opening) {
		err = p.inspectTIFF()
		return p, err
	}
	p.config, p.format, err = image.DecodeConfig(io.NewSectionReader(p.opening, 0, maxOpening))
	if err == nil && p.format == "jpeg" {
		p.frame, err = imagefile.JPEGFrame(p.opening, maxOpening)
	}
	if err == nil && p.format == "jpeg" {
		p.orientation = imagefile.Orientation(p.opening, maxOpening)
	}
	return p, err
}

func isTIFF(o *opening) bool {
	var magic [4]byte
	_, err := o.ReadAt(magic[:], 0)
	return err == nil && (string(magic[:]) == "II*\x00" || string(magic[:]) == "MM\x00*")
}

// inspectTIFF reads the whole file, because the headers and pixels of a TIFF can be anywhere in it.
func (p *picture) inspectTIFF() (err error) {
	p.format = "tiff"
	p.opening.whole()
	if p.config, err = tiff.DecodeConfig(p.tiff()); err != nil {
		return err
	}
	p.orientation = imagefile.Orientation(p.opening, p.opening.bytes)
	p.blocks, err = imagefile.TIFFBlocks(p.opening, p.opening.bytes)
	return err
}

// tiff returns the file as a reader that the decoder does not copy.
func (p *picture) tiff() *io.SectionReader {
	return io.NewSectionReader(p.opening, 0, p.opening.bytes)
}

func (p *picture) decode() (image.Image, error) {
	switch p.format {
	case "tiff":
		return tiff.Decode(p.tiff())
	case "jpeg":
		header := io.NewSectionReader(p.opening, 0, p.frame.End)
		return jpeg.Decode(io.MultiReader(header, &scans{file: p.opening.from(p.frame.End)}))
	default:
		return p.decodeChunks()
	}
}

// decodeChunks decodes a file and, if it comes in chunks, reads the rest of it for its orientation.
func (p *picture) decodeChunks() (image.Image, error) {
	file := p.opening.from(0)
	chunks := newChunks(p.format)
	if chunks != nil {
		file = io.TeeReader(file, chunks)
	}
	pixels, _, err := image.Decode(file)
	if err != nil || chunks == nil {
		return pixels, err
	}
	_, err = io.Copy(io.Discard, file)
	p.orientation = chunks.orientation()
	return pixels, err
}

// scans counts the scans of a JPEG in what follows its frame header.
type scans struct {
	file  io.Reader
	last  byte
	count int
}

func (s *scans) Read(p []byte) (int, error) {
	const mark, start = 0xff, 0xda
	n, err := s.file.Read(p[:min(len(p), step)])
	for _, b := range p[:n] {
		if s.last == mark && b == start {
			s.count++
		}
		s.last = b
	}
	if s.count > maxScans {
		return 0, fmt.Errorf("the image has more than %d scans", maxScans)
	}
	return n, err
}
