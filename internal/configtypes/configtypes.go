// Package configtypes holds the types of configuration values that need more than
// Go's own: lists that are trimmed, sizes with units, networks.
package configtypes

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
)

// Size is a number of bytes, written as 33554432, 32MiB or 1GB.
type Size int64

// Decode reads a size.
func (s *Size) Decode(text string) error {
	n, err := humanize.ParseBytes(text)
	if err != nil || n > math.MaxInt64 {
		return errors.New("is not a size such as 33554432 or 32MiB")
	}
	*s = Size(n)
	return nil
}

// String writes the size with a binary unit.
func (s Size) String() string { return humanize.IBytes(uint64(max(s, 0))) }

// Mode is the permission bits of files or folders, written in octal digits, as in 0640. Zero stands for none given.
type Mode uint32

// maxMode has the bits for set-group-id and for owner, group and others.
const maxMode = 0o2777

// Decode reads a mode.
func (m *Mode) Decode(text string) error {
	n, err := strconv.ParseUint(strings.TrimPrefix(strings.TrimSpace(text), "0o"), 8, 32)
	if err != nil || n == 0 || n > maxMode {
		return errors.New("is not a mode in octal digits such as 0640 or 0750")
	}
	*m = Mode(n)
	return nil
}

// String writes the mode in octal digits.
func (m Mode) String() string { return fmt.Sprintf("%04o", uint32(m)) }

// FileMode returns the mode as package os has it.
func (m Mode) FileMode() fs.FileMode {
	const setGroup = 0o2000
	mode := fs.FileMode(m) & fs.ModePerm
	if m&setGroup != 0 {
		mode |= fs.ModeSetgid
	}
	return mode
}

// List is a comma-separated list; spaces around an item are dropped, an empty item is refused.
type List []string

// Decode reads a list.
func (l *List) Decode(text string) error {
	var list List
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			return errors.New("has an empty item")
		}
		list = append(list, item)
	}
	*l = list
	return nil
}

// Prefixes is a comma-separated list of networks such as 10.0.0.0/8; a single address stands for itself.
type Prefixes []netip.Prefix

// Decode reads a list of networks.
func (p *Prefixes) Decode(text string) error {
	var items List
	if err := items.Decode(text); err != nil {
		return err
	}
	var prefixes Prefixes
	for _, item := range items {
		prefix, err := parsePrefix(item)
		if err != nil {
			return err
		}
		prefixes = append(prefixes, prefix)
	}
	*p = prefixes
	return nil
}

func parsePrefix(item string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(item); err == nil {
		return netip.PrefixFrom(addr.Unmap().WithZone(""), addr.Unmap().BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(item)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("has %q, which is no network such as 10.0.0.0/8", item)
	}
	if prefix != prefix.Masked() {
		return netip.Prefix{}, fmt.Errorf("has %q, whose address has bits outside the mask; is %s meant?", item, prefix.Masked())
	}
	return unmap(prefix), nil
}

// unmap writes a network of IPv4-mapped addresses as the IPv4 network that it is, since Contains looks for that.
func unmap(prefix netip.Prefix) netip.Prefix {
	const mapped = 128 - 32 // bits before the IPv4 address
	if prefix.Addr().Is4In6() && prefix.Bits() >= mapped {
		return netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-mapped)
	}
	return prefix
}

// Contains says whether addr is in one of the networks; an IPv4-mapped address counts as IPv4.
func (p Prefixes) Contains(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	for _, prefix := range p {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// Conflict is an error: the value of a variable conflicts with others of its section.
// A configuration struct returns it from a method Validate() error.
type Conflict struct {
	Name string // of the variable within the section, such as MIN_DELAY
	Text string // completes the sentence that begins with the name
}

// Error returns the sentence.
func (c *Conflict) Error() string { return c.Name + " " + c.Text }

// IsLoopback says whether a host, a name or an address without brackets, is this machine and nothing else. What a name other
// than localhost resolves to may change, so it is not.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}
