package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
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
func (g *guard) control(ctx context.Context, network, address string, _ syscall.RawConn) error {
	addrPort, err := netip.ParseAddrPort(address)
	if err != nil || (network != "tcp4" && network != "tcp6") {
		return &blockedError{}
	}
	if !g.permits(addrPort.Addr()) {
		return &blockedError{addr: addrPort.Addr()}
	}
	if permitted, ok := ctx.Value(permittedKey{}).(*atomic.Bool); ok {
		permitted.Store(true)
	}
	return nil
}

// permittedKey is the context key of an *atomic.Bool that control sets when it permits an address.
type permittedKey struct{}

// dialContext returns a dial function for a transport. A host is blocked only if all its addresses are: if one was permitted
// and could not be connected to, the host is unreachable.
func (g *guard) dialContext(dialer *net.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	dialer.ControlContext = g.control
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		var permitted atomic.Bool
		conn, err := dialer.DialContext(context.WithValue(ctx, permittedKey{}, &permitted), network, address)
		if _, blocked := errors.AsType[*blockedError](err); blocked && permitted.Load() {
			return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.EHOSTUNREACH}
		}
		return conn, err
	}
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
