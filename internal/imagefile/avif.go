package imagefile

import (
	"encoding/binary"
	"slices"
)

const (
	avifBrandBytes = 512 // of the list of brands; files name about five
	fullBox        = 4   // version and flags at the start of some boxes
)

// inspectAVIF goes through the outermost boxes: brands in ftyp, the description
// of the items in meta, their coded pixels in mdat or, rarely, inside of meta.
func inspectAVIF(s *source) (area, error) {
	if err := avifBrands(s); err != nil {
		return area{}, err
	}
	var meta box
	var pixels bool
	for outer, err := range s.boxes(0, s.size) {
		if meta.kind != "" && pixels && (err != nil || outer.end > s.size) {
			break // something was appended
		}
		if err != nil {
			return area{}, err
		}
		if outer.end > s.size {
			return area{}, truncated("a box lies beyond the end of the file")
		}
		switch outer.kind {
		case "meta":
			meta = outer
		case "mdat":
			pixels = true
		}
	}
	if meta.kind == "" && !pixels {
		return area{}, truncated("there is nothing after its brands")
	}
	return avifSize(s, meta, pixels)
}

// avifBrands refuses what has the same structure but is no AVIF: video, HEIC.
func avifBrands(s *source) error {
	first, err := s.box(0, s.size)
	if err != nil {
		return err
	}
	brands := make([]byte, min(first.end-first.start, avifBrandBytes))
	if err := s.read(brands, first.start); err != nil {
		return err
	}
	for brand := range slices.Chunk(brands, 4) {
		if string(brand) == "avif" || string(brand) == "avis" {
			return nil
		}
	}
	return unknown("its brands are not those of AVIF")
}

// avifItems is what the boxes in meta say.
type avifItems struct {
	primary    box   // pitm: which item is the image
	properties box   // ipco: the properties of all items, known by their position from 1
	tables     []box // ipma: which item has which properties
	pixels     bool  // there is idat: coded pixels
}

// avifSize finds the size property of the primary item.
func avifSize(s *source, meta box, pixels bool) (area, error) {
	items, err := avifMeta(s, meta)
	if err != nil {
		return area{}, err
	}
	primary, err := avifPrimary(s, items.primary)
	if err != nil {
		return area{}, err
	}
	size, err := avifProperty(s, items, primary)
	if err == nil && !pixels && !items.pixels {
		err = truncated("the coded pixels are missing")
	}
	return size, err
}

func avifMeta(s *source, meta box) (avifItems, error) {
	var items avifItems
	for child, err := range s.children(meta, fullBox) {
		if err != nil {
			return items, err
		}
		switch child.kind {
		case "pitm":
			items.primary = child
		case "idat":
			items.pixels = true
		case "iprp":
			if err := items.readProperties(s, child); err != nil {
				return items, err
			}
		}
	}
	return items, nil
}

func (i *avifItems) readProperties(s *source, iprp box) error {
	for child, err := range s.children(iprp, 0) {
		if err != nil {
			return err
		}
		switch child.kind {
		case "ipco":
			i.properties = child
		case "ipma":
			i.tables = append(i.tables, child)
		}
	}
	return nil
}

// avifPrimary reads the number of the primary item: 16 bits in version 0, 32 after that.
func avifPrimary(s *source, pitm box) (uint32, error) {
	content, err := s.content(pitm)
	if err != nil {
		return 0, err
	}
	version := content.number(1)
	content.skip(3)
	primary := content.number(itemWidth(version))
	if content.short {
		return 0, unknown("it does not say which item is the image")
	}
	return primary, nil
}

func itemWidth(version uint32) int {
	if version == 0 {
		return 2
	}
	return 4
}

// avifProperty looks for the property ispe, the size, among those of an item.
func avifProperty(s *source, items avifItems, item uint32) (area, error) {
	var wanted []uint32
	for _, table := range items.tables {
		content, err := s.content(table)
		if err != nil {
			return area{}, err
		}
		wanted = append(wanted, avifProperties(content, item)...)
	}
	position := uint32(0)
	for property, err := range s.children(items.properties, 0) {
		if err != nil {
			return area{}, err
		}
		position++
		if property.kind == "ispe" && slices.Contains(wanted, position) {
			return avifExtent(s, property)
		}
	}
	return area{}, unknown("the size of its image is missing")
}

// avifProperties reads which properties a table (ipma) gives to an item. Each
// entry is the item, a count, and as many positions in 7 or, by a flag, 15 bits;
// the bit above says that the property is essential.
func avifProperties(content *cursor, item uint32) []uint32 {
	version := content.number(1)
	content.skip(2)
	width, mask := 1, uint32(0x7f)
	if content.number(1)&1 != 0 {
		width, mask = 2, 0x7fff
	}
	for range content.number(4) {
		found := content.number(itemWidth(version)) == item
		var positions []uint32
		for range content.number(1) {
			if position := content.number(width) & mask; found {
				positions = append(positions, position)
			}
		}
		if found || content.short {
			return positions
		}
	}
	return nil
}

// avifExtent reads the width and the height of a size property.
func avifExtent(s *source, ispe box) (area, error) {
	var p [8]byte
	err := s.read(p[:], ispe.start+fullBox)
	return area{uint64(binary.BigEndian.Uint32(p[:])), uint64(binary.BigEndian.Uint32(p[4:]))}, err
}
