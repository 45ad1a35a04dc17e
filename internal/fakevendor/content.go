package fakevendor

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"sync"

	"github.com/HugoSmits86/nativewebp"
	"golang.org/x/image/webp"
)

// maxContentBytes bounds the painted files that are kept. Others are painted again for each request.
const maxContentBytes = 64 << 20

// content is the bytes of one file.
type content interface {
	size() int64
	sum() [sha256.Size]byte
	dimensions() (width, height int)
	open() io.ReadSeeker // a reader of its own
}

// contents makes files and keeps the small ones. The oldest is dropped first.
type contents struct {
	mutex   sync.Mutex
	entries map[picture]content
	order   []picture
	bytes   int64
}

func (c *contents) get(wanted picture) (content, error) {
	if found, ok := c.kept(wanted); ok {
		return found, nil
	}
	made, err := makeContent(wanted)
	if err != nil {
		return nil, err
	}
	c.keep(wanted, made)
	return made, nil
}

func (c *contents) kept(wanted picture) (content, bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	found, ok := c.entries[wanted]
	return found, ok
}

func (c *contents) keep(wanted picture, made content) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if _, ok := c.entries[wanted]; ok {
		return
	}
	c.entries[wanted] = made
	c.order = append(c.order, wanted)
	c.bytes += held(made)
	for c.bytes > maxContentBytes && len(c.order) > 1 {
		c.bytes -= held(c.entries[c.order[0]])
		delete(c.entries, c.order[0])
		c.order = c.order[1:]
	}
}

// entryBytes is the memory of an entry beside the bytes of the file.
const entryBytes = 512

func held(c content) int64 {
	if painted, ok := c.(*paintedFile); ok {
		return entryBytes + painted.size()
	}
	return entryBytes
}

func makeContent(wanted picture) (content, error) {
	if wanted.bytes != 0 {
		return newLargePNG(wanted.bytes, wanted.seed), nil
	}
	encoded, err := encode(wanted.format, paint(wanted.width, wanted.height, wanted.seed))
	for seed := wanted.seed + 1; err == nil && wanted.format == WebP && isBroken(encoded); seed++ {
		encoded, err = encode(wanted.format, paint(wanted.width, wanted.height, seed))
	}
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", wanted.format, err)
	}
	return &paintedFile{encoded, sha256.Sum256(encoded), wanted.width, wanted.height}, nil
}

// isBroken reports whether a WebP picture cannot be decoded. The encoder produces about one such picture in some hundred.
func isBroken(encoded []byte) bool {
	_, err := webp.Decode(bytes.NewReader(encoded))
	return err != nil
}

func encode(format Format, painted image.Image) ([]byte, error) {
	var buffer bytes.Buffer
	var err error
	switch format {
	case PNG:
		encoder := png.Encoder{CompressionLevel: png.BestSpeed}
		err = encoder.Encode(&buffer, painted)
	case JPEG:
		err = jpeg.Encode(&buffer, painted, &jpeg.Options{Quality: 88})
	case WebP:
		err = nativewebp.Encode(&buffer, painted, nil)
	}
	return buffer.Bytes(), err
}

// paintedFile is a small file, in memory.
type paintedFile struct {
	encoded       []byte
	digest        [sha256.Size]byte
	width, height int
}

func (p *paintedFile) size() int64                     { return int64(len(p.encoded)) }
func (p *paintedFile) sum() [sha256.Size]byte          { return p.digest }
func (p *paintedFile) dimensions() (width, height int) { return p.width, p.height }
func (p *paintedFile) open() io.ReadSeeker             { return bytes.NewReader(p.encoded) }
