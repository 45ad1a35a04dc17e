package fetch

import (
	"context"
	"net"
	"net/netip"
	"time"
)

const (
	maxAddresses = 64                     // of one host
	dialStagger  = 250 * time.Millisecond // between the starts of two connects, as RFC 8305 recommends
)

// dialer connects to untrusted hosts through the guard.
type dialer struct {
	net.Dialer

	guard   *guard
	silence *silence
	total   time.Duration // DNS and all addresses of a host together
}

func newDialer(guard *guard, silence *silence, chosen options) *dialer {
	resolver := chosen.resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	d := &dialer{guard: guard, silence: silence, total: chosen.limits.dial}
	d.Resolver, d.ControlContext = resolver, guard.control
	return d
}

// dial connects to one of the addresses of a host. All addresses share the time: dead ones delay a good one by the stagger
// only, and silent ones come last. A host is blocked only if all its addresses are.
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.total)
	defer cancel()
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	found, err := d.Resolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	addresses := make([]string, 0, len(found))
	for _, addr := range alternate(found) {
		if d.guard.permits(addr) {
			addresses = append(addresses, net.JoinHostPort(addr.Unmap().String(), port))
		}
	}
	if len(addresses) == 0 {
		return nil, &blockedError{addr: found[0].Unmap()}
	}
	addresses = d.silence.order(addresses[:min(len(addresses), maxAddresses)])
	stagger := min(dialStagger, d.total/time.Duration(2*len(addresses)))
	return race(ctx, addresses, stagger, func(ctx context.Context, address string) (net.Conn, error) {
		conn, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &hostConn{Conn: conn, silence: d.silence, address: address, addresses: addresses, begun: time.Now()}, nil
	})
}

// alternate orders addresses so that the families alternate, beginning with that of the first one.
func alternate(found []netip.Addr) []netip.Addr {
	var first, other []netip.Addr
	for _, addr := range found {
		if addr.Unmap().Is4() == found[0].Unmap().Is4() {
			first = append(first, addr)
		} else {
			other = append(other, addr)
		}
	}
	ordered := make([]netip.Addr, 0, len(found))
	for i := range max(len(first), len(other)) {
		ordered = append(ordered, first[min(i, len(first)):min(i+1, len(first))]...)
		ordered = append(ordered, other[min(i, len(other)):min(i+1, len(other))]...)
	}
	return ordered
}

// race connects to one address after the other, the next one as soon as the last failed or the stagger has passed, and returns
// the first connection. It returns the first error if all fail. When it returns, no attempt is left.
func race(
	ctx context.Context, addresses []string, stagger time.Duration, dial func(ctx context.Context, address string) (net.Conn, error),
) (conn net.Conn, err error) {
	type result struct {
		conn net.Conn
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result)
	ticker := time.NewTicker(stagger)
	defer ticker.Stop()
	running := 0
	start := func() {
		if len(addresses) == 0 || conn != nil {
			return
		}
		address := addresses[0]
		addresses = addresses[1:]
		running++
		go func() {
			made, err := dial(ctx, address)
			results <- result{made, err}
		}()
	}
	for start(); running > 0; {
		select {
		case <-ticker.C:
			start()
		case r := <-results:
			running--
			switch {
			case r.err != nil && err == nil:
				err = r.err
			case r.err == nil && conn == nil:
				conn = r.conn
				cancel()
			case r.err == nil:
				_ = r.conn.Close() // another address was quicker
			}
			if r.err != nil {
				start()
			}
		}
	}
	if conn != nil {
		return conn, nil
	}
	return nil, err
}
