package fetch

import (
	"context"
	"fmt"
	"net/netip"
	"syscall"

	"code.dny.dev/ssrf"
	"github.com/deepimage-receiver/receiver/internal/configtypes"
)

// guard decides which addresses are dialled: public unicast addresses, and those in the allowed networks.
type guard struct {
	public  *ssrf.Guardian
	allowed configtypes.Prefixes
	nat64   netip.Prefix
}

func newGuard(allowed configtypes.Prefixes) *guard {
	return &guard{
		// The IANA registries do not list this public address, at which Azure's machines reach its control plane.
		public: ssrf.New(ssrf.WithAnyPort(), ssrf.WithDeniedV4Prefixes(netip.MustParsePrefix("168.63.129.16/32")),
			ssrf.WithDeniedV6Prefixes(netip.MustParsePrefix("3ffe::/16"))), // the former 6bone

		allowed: allowed,
		nat64:   ssrf.IPv6NAT64Prefix,
	}
}

// control is the dialer's hook before it connects to an address.
func (g *guard) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	addrPort, err := netip.ParseAddrPort(address)
	if err != nil || (network != "tcp4" && network != "tcp6") {
		return &blockedError{}
	}
	if !g.permits(addrPort.Addr()) {
		return &blockedError{addr: addrPort.Addr()}
	}
	return nil
}

// permits reports whether addr may be dialled. An address of a NAT64 gateway counts as the IPv4 address in it, which must be
// public: an untrusted DNS name could otherwise reach private addresses through the gateway.
func (g *guard) permits(addr netip.Addr) bool {
	if !addr.IsValid() || addr.Zone() != "" {
		return false
	}
	addr = addr.Unmap()
	if g.nat64.Contains(addr) {
		bytes := addr.As16()
		return g.public.SafeAddr(netip.AddrFrom4([4]byte(bytes[12:]))) == nil
	}
	return g.allowed.Contains(addr) || g.public.SafeAddr(addr) == nil && !isISATAP(addr)
}

// isISATAP reports whether addr carries an IPv4 address in an interface identifier of RFC 5214, which can have any
// prefix. The two lowest bits of its first byte (universal, group) can have any value.
func isISATAP(addr netip.Addr) bool {
	if !addr.Is6() {
		return false
	}
	bytes := addr.As16()
	return bytes[8]&^3 == 0 && bytes[9] == 0 && bytes[10] == 0x5e && bytes[11] == 0xfe
}

// blockedError is the guard's refusal of addr, which is not valid if the dialer passed no TCP address.
type blockedError struct{ addr netip.Addr }

func (e *blockedError) Error() string { return fmt.Sprintf("the address %s is blocked", e.addr) }
