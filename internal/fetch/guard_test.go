package fetch_test

import (
	"net/netip"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/fetch"
)

func TestGuardRefusesSpecialAddresses(t *testing.T) {
	t.Parallel()
	for class, addresses := range map[string][]string{
		"this network":     {"0.0.0.0", "0.0.0.1", "0.255.255.255"},
		"loopback":         {"127.0.0.1", "127.0.0.2", "127.255.255.255", "::1"},
		"private":          {"10.0.0.0", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255"},
		"shared (CGNAT)":   {"100.64.0.0", "100.100.100.200", "100.127.255.255"},
		"link-local":       {"169.254.0.1", "169.254.169.254", "169.254.170.2", "fe80::1", "febf:ffff::1"},
		"metadata":         {"168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"},
		"protocols":        {"192.0.0.1", "192.0.0.170", "192.31.196.1", "192.52.193.1", "192.175.48.1", "192.88.99.1"},
		"documentation":    {"192.0.2.1", "198.51.100.1", "203.0.113.255", "2001:db8::1", "3fff::1"},
		"benchmark":        {"198.18.0.1", "198.19.255.255", "2001:2::1"},
		"multicast":        {"224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"},
		"reserved":         {"240.0.0.1", "254.1.2.3"},
		"broadcast":        {"255.255.255.255"},
		"unspecified":      {"::"},
		"IPv4-mapped":      {"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:168.63.129.16", "::ffff:0.0.0.0"},
		"IPv4-compatible":  {"::127.0.0.1", "::10.0.0.1", "::8.8.8.8"},
		"IPv4-translated":  {"::ffff:0:127.0.0.1", "::ffff:0:8.8.8.8"},
		"NAT64":            {"64:ff9b::127.0.0.1", "64:ff9b::10.1.2.3", "64:ff9b::169.254.169.254", "64:ff9b:1::10.0.0.1", "64:ff9b:1:ffff::1"},
		"6to4":             {"2002:7f00:1::", "2002:a00:1::1", "2002:808:808::1"},
		"Teredo":           {"2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"},
		"ORCHID":           {"2001:10::1", "2001:20::1"},
		"ISATAP":           {"2a00:1450:4001:800:0:5efe:127.0.0.1", "2a00:1450:4001:800:200:5efe:10.0.0.1", "2a00:1450:4001:800:300:5efe:8.8.8.8"},
		"unique local":     {"fc00::1", "fd12:3456:789a::1", "fdff:ffff::1"},
		"site-local":       {"fec0::1", "feff::1"},
		"discard":          {"100::1"},
		"segment routing":  {"5f00::1"},
		"outside 2000::/3": {"4000::1", "8000::1", "e000::1"},
		"6bone":            {"3ffe::1", "3ffe:ffff::1"},
		"AS112":            {"2620:4f:8000::1"},
		"zone":             {"fe80::1%eth0", "2a00:1450:4001:800::200e%eth0"},
	} {
		for _, address := range addresses {
			t.Run(class+"/"+address, func(t *testing.T) {
				t.Parallel()
				if fetch.Permits(netip.MustParseAddr(address)) {
					t.Errorf("Permits(%s) = true, want false", address)
				}
			})
		}
	}
	if fetch.Permits(netip.Addr{}) {
		t.Error("Permits(zero address) = true, want false")
	}
}

func TestGuardPermitsPublicAddresses(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "52.219.170.1", "93.184.216.34", "99.255.255.255", "100.63.255.255", "100.128.0.0",
		"126.255.255.255", "128.0.0.1", "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
		"192.0.1.1", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
		"::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2001:4860:4860::8888", "2606:4700:4700::1111", "2a00:1450:4001:800::200e", "2a05:d014::5efe:1", "2c0f:fb50::1",
	} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			if !fetch.Permits(netip.MustParseAddr(address)) {
				t.Errorf("Permits(%s) = false, want true", address)
			}
		})
	}
}

func TestGuardPermitsAllowedNetworks(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		network, address string
		want             bool
	}{
		"inside":                        {network: "10.1.0.0/16", address: "10.1.2.3", want: true},
		"outside":                       {network: "10.1.0.0/16", address: "10.2.2.3"},
		"mapped":                        {network: "10.1.0.0/16", address: "::ffff:10.1.2.3", want: true},
		"compatible":                    {network: "10.1.0.0/16", address: "::10.1.2.3"},
		"translated by NAT64":           {network: "10.1.0.0/16", address: "64:ff9b::10.1.2.3"},
		"B5 NAT64 to a public address":  {network: "64:ff9b::/96", address: "64:ff9b::8.8.8.8", want: true},
		"B5 NAT64 to a private address": {network: "64:ff9b::/96", address: "64:ff9b::10.1.2.3"},
		"IPv6":                          {network: "fd00:1::/32", address: "fd00:1::5", want: true},
		"with a zone":                   {network: "fe80::/10", address: "fe80::1%eth0"},
		"public stays public":           {network: "10.1.0.0/16", address: "8.8.8.8", want: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := fetch.Permits(netip.MustParseAddr(row.address), netip.MustParsePrefix(row.network))
			if got != row.want {
				t.Errorf("Permits(%s) with %s allowed = %t, want %t", row.address, row.network, got, row.want)
			}
		})
	}
}

func TestGuardPermitsTCPOnly(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		network, address string
		want             bool
	}{
		"IPv4":           {network: "tcp4", address: "8.8.8.8:443", want: true},
		"IPv6":           {network: "tcp6", address: "[2606:4700:4700::1111]:8443", want: true},
		"UDP":            {network: "udp4", address: "8.8.8.8:443"},
		"Unix socket":    {network: "unix", address: "/run/docker.sock"},
		"unnumbered":     {network: "tcp", address: "8.8.8.8:443"},
		"no address":     {network: "tcp4", address: ":443"},
		"a name":         {network: "tcp4", address: "localhost:443"},
		"private in IP6": {network: "tcp6", address: "[::ffff:10.0.0.1]:443"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := fetch.Control(row.network, row.address); (err == nil) != row.want {
				t.Errorf("Control(%s, %s) = %v, want permitted: %t", row.network, row.address, err, row.want)
			}
		})
	}
}

// TestGuardRefusesIANARegistries refuses the first and the last address of every network that the IANA special-purpose
// address registries list as not globally reachable, as of 2026, and of multicast and reserved space.
func TestGuardRefusesIANARegistries(t *testing.T) {
	t.Parallel()
	for _, prefix := range prefixes(
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32",
		"::1/128", "::/128", "::ffff:0:0:0/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/32", "2001:2::/48", "2001:10::/28",
		"2001:db8::/32", "2002::/16", "3fff::/20", "3ffe::/16", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
	) {
		t.Run(prefix.String(), func(t *testing.T) {
			t.Parallel()
			for _, addr := range []netip.Addr{prefix.Masked().Addr(), lastOf(prefix)} {
				if fetch.Permits(addr) {
					t.Errorf("Permits(%s) = true, want false", addr)
				}
			}
		})
	}
}

// lastOf returns the last address of a network.
func lastOf(prefix netip.Prefix) netip.Addr {
	bytes := prefix.Masked().Addr().AsSlice()
	for bit := prefix.Bits(); bit < 8*len(bytes); bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	addr, _ := netip.AddrFromSlice(bytes)
	return addr
}

func FuzzGuard(f *testing.F) {
	for _, seed := range []string{"127.0.0.1", "8.8.8.8", "::1", "::ffff:10.0.0.1", "64:ff9b::1", "2002:7f00:1::", "2001:db8::1", "2a00:1450::200:5efe:a00:1"} {
		f.Add(netip.MustParseAddr(seed).AsSlice())
	}
	// Independent of the guard's own table.
	special := prefixes("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
		"::/3", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "4000::/2", "8000::/1")
	f.Fuzz(func(t *testing.T, bytes []byte) {
		addr, valid := netip.AddrFromSlice(bytes)
		if !valid {
			t.Skip("neither 4 nor 16 bytes")
		}
		permitted := fetch.Permits(addr)
		if addr.Is4() && permitted != fetch.Permits(netip.AddrFrom16(addr.As16())) {
			t.Errorf("Permits(%s) = %t, want the same for its mapped form", addr, permitted)
		}
		if !permitted {
			return
		}
		plain := addr.Unmap()
		if netip.MustParsePrefix("64:ff9b::/96").Contains(plain) { // what it stands for must be public
			embedded := plain.As16()
			plain = netip.AddrFrom4([4]byte(embedded[12:]))
		}
		if !plain.IsGlobalUnicast() || plain.IsPrivate() {
			t.Errorf("Permits(%s) = true, want false: it is not global unicast", addr)
		}
		for _, prefix := range special {
			if prefix.Contains(plain) {
				t.Errorf("Permits(%s) = true, want false: it is in %s", addr, prefix)
			}
		}
	})
}

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}
