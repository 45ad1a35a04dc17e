package thumbnail

import (
	"encoding/binary"
	"image"
	"image/color"

	"github.com/deepimage-receiver/receiver/internal/imagefile"
)

const (
	// maxPixels is the maximum number of pixels of an image. It is lower in effect where the decoder needs more
	// than 4 bytes for each.
	maxPixels = 32 << 20
	// maxMemory bounds the bytes that decoding allocates: 4 for each pixel, and some for rows.
	maxMemory = 4*maxPixels + 8<<20
)

// memory returns the bytes that the decoder allocates in proportion to the image or its file, although not all
// are in use at the same time. The image has at most maxPixels.
func (p *picture) memory() int64 {
	width, height := int64(p.config.Width), int64(p.config.Height)
	switch p.format {
	case "jpeg":
		if p.config.ColorModel == color.RGBAModel {
			return p.frame.DecodedBytes() + 4*width*height
		}
		return p.frame.DecodedBytes()
	case "png":
		return pngMemory(p.config, p.interlaced())
	case "gif":
		return 2 * width * height // an interlaced image is decoded twice
	case "tiff":
		return p.opening.bytes + tiffMemory(p.config, p.blocks, p.opening.bytes)
	case "webp":
		return webpMemory(width, height, p.opening)
	default:
		return bytesPerPixel(p.config.ColorModel) * width * (height + 1)
	}
}

// pngMemory returns the bytes of the pixels and two rows, twice for interlaced images: each pass is an image.
func pngMemory(c image.Config, interlaced bool) int64 {
	memory := bytesPerPixel(c.ColorModel) * int64(c.Width) * int64(c.Height+2)
	if interlaced {
		return 2 * memory
	}
	return memory
}

// interlaced reads the last byte of the header of a PNG.
func (p *picture) interlaced() bool {
	var method [1]byte
	_, err := p.opening.ReadAt(method[:], 28)
	return err != nil || method[0] != 0
}

// tiffMemory returns the bytes of the pixels, of the largest strip or tile while its buffer grows, and of all offsets.
func tiffMemory(c image.Config, b imagefile.Blocks, file int64) int64 {
	const most = 8 // bytes of a pixel that a decoder unpacks at most
	const growth, place = 3, 40
	width, height := int64(c.Width), int64(c.Height)
	acrossBlock, downBlock := width, height
	if b.TileWidth > 0 {
		const spare = 1024 // pixels by which a tile may exceed the image
		acrossBlock, downBlock = min(b.TileWidth, width+spare), min(max(b.TileHeight, 1), height+spare)
	} else if b.RowsPerStrip > 0 {
		downBlock = min(b.RowsPerStrip, height)
	}
	block := most * acrossBlock * downBlock
	if !b.Compressed {
		block = min(block, file)
	}
	blocks := ((width + acrossBlock - 1) / acrossBlock) * ((height + downBlock - 1) / downBlock)
	return bytesPerPixel(c.ColorModel)*width*height + growth*block + place*blocks
}

// webpMemory returns the bytes for the two codecs of the format. The lossy one takes 1.5 bytes for each pixel, in blocks
// of 16 x 16, and holds its chunk of the file. The lossless one takes 4 bytes, 2 more if there are few colours, and
// has small images of its own settings. Opacity of a lossy image takes a byte for each pixel, and may be
// a lossless image. The code tables of lossless images are not counted: the decoder bounds them.
func webpMemory(width, height int64, o *opening) int64 {
	const lossless = 7
	opacity := int64(0)
	for at := int64(12); at < maxOpening; { // after the name of the format
		var head [9]byte // name, length, coding of the opacity
		if _, err := o.ReadAt(head[:], at); err != nil {
			break
		}
		length := int64(binary.LittleEndian.Uint32(head[4:]))
		switch string(head[:4]) {
		case "VP8 ":
			return opacity*width*height + 2*(width+15)*(height+15) + length
		case "VP8L":
			return max(opacity, lossless) * width * height
		case "ALPH":
			opacity = 1
			if head[8]&3 != 0 {
				opacity += lossless
			}
		}
		at += 8 + length + length%2
	}
	return (opacity + lossless) * width * height // the pixels are beyond the opening
}

func bytesPerPixel(model color.Model) int64 {
	switch model {
	case color.RGBA64Model, color.NRGBA64Model, color.Gray16Model, color.Alpha16Model:
		return 8
	default:
		return 4
	}
}
