package imagefile

// cursor reads big-endian numbers one after the other.
type cursor struct {
	rest  []byte
	short bool // more was asked for than there is
}

func (c *cursor) skip(n int) {
	if n > len(c.rest) {
		c.rest, c.short = nil, true
		return
	}
	c.rest = c.rest[n:]
}

// number reads a number of 1, 2 or 4 bytes. It is 0 after the end.
func (c *cursor) number(width int) uint32 {
	var n uint32
	for i := range min(width, len(c.rest)) {
		n = n<<8 | uint32(c.rest[i])
	}
	if c.skip(width); c.short {
		return 0
	}
	return n
}
