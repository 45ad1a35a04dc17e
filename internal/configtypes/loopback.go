package configtypes

import (
	"net/netip"
	"strings"
)

// IsLoopback says whether a host, a name or an address without brackets, is this machine and nothing else. What a name other
// than localhost resolves to may change, so it is not.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}
