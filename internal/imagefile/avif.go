package imagefile

import (
	"encoding/binary"
	"slices"
)

const (
	avifBrandBytes = 512 // of the list of brands; files name about five
	fullBox        = 4   // bytes of version and flags at the start of some boxes
)

// inspectAVIF walks the outermost boxes: brands in ftyp, the description of the items in meta, their coded pixels
// in mdat or, rarely, inside of meta.
func inspectAVIF(s *source) (dimensions, error) {
	brand, err := avifBrand(s)
	if err != nil {
		return dimensions{}, err
	}
	meta, pixels, err := avifBoxes(s)
	if err != nil {
		return dimensions{}, err
	}
	items, err := avifMeta(s, meta)
	if err != nil {
		return dimensions{}, err
	}
	primary, err := avifPrimary(s, items.primary)
	if err != nil {
		return dimensions{}, err
	}
	if !brand {
		if err := items.checkCodec(s, primary); err != nil {
			return dimensions{}, err
		}
	}
	found, err := items.size(s, primary)
	if err != nil {
		return dimensions{}, err
	}
	if !pixels && items.data.kind == "" {
		return dimensions{}, truncated("the coded pixels are missing")
	}
	return found, items.checkExtents(s)
}

// avifBoxes returns the box meta, and whether there is one of coded pixels. Once both are there, boxes of an unknown
// kind that do not fit are bytes behind the image.
func avifBoxes(s *source) (meta box, pixels bool, err error) {
	for outer, err := range s.boxes(0, s.size) {
		if err == nil && outer.end > s.size {
			err = truncated("a box lies beyond the end of the file")
		}
		if err != nil && meta.kind != "" && pixels && !isMediaBox(outer.kind) {
			break
		}
		if err != nil {
			return meta, pixels, err
		}
		switch outer.kind {
		case "meta":
			meta = outer
		case "mdat":
			pixels = true
		}
	}
	if meta.kind == "" && !pixels {
		return meta, pixels, truncated("there is nothing after its brands")
	}
	return meta, pixels, nil
}

// isMediaBox reports whether files have outermost boxes of a kind.
func isMediaBox(kind string) bool {
	return slices.Contains([]string{"meta", "mdat", "moov", "moof", "mfra", "free", "skip", "uuid", "sidx", "styp"}, kind)
}

// avifBrand reports whether the file names a brand of AVIF. It may also name those of any image in the HEIF
// structure; what has that structure but is something else, such as video, is refused.
func avifBrand(s *source) (named bool, err error) {
	first, err := s.box(0, s.size)
	if err != nil {
		return false, err
	}
	brands := make([]byte, min(first.end-first.start, avifBrandBytes))
	if err := s.read(brands, first.start); err != nil {
		return false, err
	}
	general, other := false, false
	for brand := range slices.Chunk(brands, 4) {
		switch string(brand) {
		case "avif", "avis":
			return true, nil
		case "mif1", "mif2", "miaf":
			general = true
		case "heic", "heix", "heim", "heis", "hevc", "hevx":
			other = true
		}
	}
	if other || !general {
		return false, unknown("its brands are not those of AVIF")
	}
	return false, nil
}

// avifItems holds the boxes in meta.
type avifItems struct {
	primary    box   // pitm: which item is the image
	kinds      box   // iinf: what each item is
	places     box   // iloc: where the data of each item is
	properties box   // ipco: the properties of all items, known by their position from 1
	tables     []box // ipma: which item has which properties
	data       box   // idat: coded pixels inside of meta
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
		case "iinf":
			items.kinds = child
		case "iloc":
			items.places = child
		case "idat":
			items.data = child
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
func avifPrimary(s *source, pitm box) (uint64, error) {
	content, err := s.content(pitm)
	if err != nil {
		return 0, err
	}
	version := content.number(1)
	content.skip(3)
	primary := content.number(itemWidth(version, 1))
	if content.short {
		return 0, unknown("it does not say which item is the image")
	}
	return primary, nil
}

// itemWidth returns the bytes of an item's number in a box of a version; from is the version that has wide ones.
func itemWidth(version, from uint64) int {
	if version < from {
		return 2
	}
	return 4
}

// checkCodec refuses a file of general brands unless its image is coded as AV1: the primary item itself, or, where that is
// made of others, one of the items.
func (i *avifItems) checkCodec(s *source, primary uint64) error {
	var kinds []string
	for child, err := range s.children(i.kinds, i.entries(s)) {
		if err != nil {
			return err
		}
		if child.kind != "infe" {
			continue
		}
		content, err := s.content(child)
		if err != nil {
			return err
		}
		version := content.number(1)
		content.skip(3)
		item := content.number(itemWidth(version, 3))
		content.skip(2) // protection
		kind := content.text(4)
		if item == primary && kind != "av01" && kind != "grid" && kind != "iovl" && kind != "iden" {
			return unknown("its image is not coded as AV1")
		}
		kinds = append(kinds, kind)
	}
	if !slices.Contains(kinds, "av01") {
		return unknown("no image in it is coded as AV1")
	}
	return nil
}

// entries returns the bytes in front of the entries of iinf: version, flags, and a count of 16 or 32 bits.
func (i *avifItems) entries(s *source) int64 {
	var version [1]byte
	if err := s.read(version[:], i.kinds.start); err == nil && version[0] > 0 {
		return fullBox + 4
	}
	return fullBox + 2
}

// size returns the dimensions of an item as displayed: from its properties ispe, the size, and irot, a turn by quarters.
func (i *avifItems) size(s *source, item uint64) (dimensions, error) {
	var wanted []uint64
	for _, table := range i.tables {
		content, err := s.content(table)
		if err != nil {
			return dimensions{}, err
		}
		wanted = append(wanted, avifProperties(content, item)...)
	}
	var found dimensions
	turned := false
	position := uint64(0)
	for property, err := range s.children(i.properties, 0) {
		if err != nil {
			return dimensions{}, err
		}
		if position++; !slices.Contains(wanted, position) {
			continue
		}
		switch property.kind {
		case "ispe":
			if found, err = avifExtent(s, property); err != nil {
				return dimensions{}, err
			}
		case "irot":
			var angle [1]byte
			if err := s.read(angle[:], property.start); err != nil {
				return dimensions{}, err
			}
			turned = angle[0]&1 != 0
		}
	}
	if found == (dimensions{}) {
		return found, unknown("the size of its image is missing")
	}
	if turned {
		found.width, found.height = found.height, found.width
	}
	return found, nil
}

// avifProperties reads which properties a table (ipma) assigns to an item. Each entry is the item, a count, and
// as many positions in 7 or, by a flag, 15 bits; the bit above says that the property is essential.
func avifProperties(content *cursor, item uint64) []uint64 {
	version := content.number(1)
	content.skip(2)
	width, mask := 1, uint64(0x7f)
	if content.number(1)&1 != 0 {
		width, mask = 2, 0x7fff
	}
	for range content.number(4) {
		found := content.number(itemWidth(version, 1)) == item
		var positions []uint64
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
func avifExtent(s *source, ispe box) (dimensions, error) {
	var p [8]byte
	err := s.read(p[:], ispe.start+fullBox)
	return dimensions{width: uint64(binary.BigEndian.Uint32(p[:])), height: uint64(binary.BigEndian.Uint32(p[4:]))}, err
}

// checkExtents checks that the data of every item (iloc) is within the file, or within idat.
func (i *avifItems) checkExtents(s *source) error {
	if i.places.kind == "" {
		return nil // the file does not say where its items are
	}
	content, err := s.content(i.places)
	if err != nil {
		return err
	}
	version := content.number(1)
	content.skip(3)
	sizes := content.number(2)
	offsetWidth, lengthWidth, baseWidth, indexWidth := int(sizes>>12), int(sizes>>8&0xf), int(sizes>>4&0xf), int(sizes&0xf)
	if version == 0 {
		indexWidth = 0
	}
	for range content.number(itemWidth(version, 2)) {
		content.skip(itemWidth(version, 2)) // the item's number
		method := uint64(0)
		if version > 0 {
			method = content.number(2) & 0xf
		}
		content.skip(2) // in which file the data is: this one
		base := content.number(baseWidth)
		for range content.number(2) {
			content.skip(indexWidth)
			offset, length := content.number(offsetWidth), content.number(lengthWidth)
			if content.short {
				break
			}
			if err := i.checkExtent(s, method, offsetOf(base)+offsetOf(offset), offsetOf(length)); err != nil {
				return err
			}
		}
		if content.short {
			if i.places.end-i.places.start > maxContent {
				return nil // a table as long as this is not read to its end
			}
			return unknown("its table of items is cut off")
		}
	}
	return nil
}

// checkExtent checks one piece of an item's data. Method 0 counts from the start of the file, 1 from that of idat, 2 from that of another
// item. A length of 0 means up to the end.
func (i *avifItems) checkExtent(s *source, method uint64, offset, length int64) error {
	limit := s.size
	switch method {
	case 0:
	case 1:
		limit = i.data.end - i.data.start
	default:
		return nil
	}
	if offset > limit || offset+length > limit {
		return truncated("the data of an item lies beyond the end of the file")
	}
	return nil
}
