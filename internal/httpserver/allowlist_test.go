package httpserver_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/httpserver"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/rs/zerolog"
)

// door serves callbacks from a peer with these X-Forwarded-For lines, and gives
// the status and the client that was made out.
type door func(peer string, forwarded []string) (int, netip.Addr)

func openDoor(t testing.TB, proxies, allowed string) door {
	t.Helper()
	var client netip.Addr
	c := config()
	c.TrustedProxies, c.AllowedSourceCIDRs = networks(t, proxies), networks(t, allowed)
	server, err := httpserver.New(c, httpserver.Deps{Log: zerolog.Nop(), Webhook: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client = problem.RequestInfoFrom(r.Context()).Client
		accept(w, r)
	})})
	if err != nil {
		t.Fatal(err)
	}
	handler := server.Router()
	return func(peer string, forwarded []string) (int, netip.Addr) {
		request := httptest.NewRequest(http.MethodPost, "/webhooks/deep-image", http.NoBody)
		request.RemoteAddr = peer
		request.Header["X-Forwarded-For"] = forwarded
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		return answer.Code, client
	}
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	const proxies = "10.0.0.0/8, fd00::/8"
	rows := []struct {
		name, proxies, peer string
		forwarded           []string
		want                string
	}{
		{"no proxies configured", "", "203.0.113.9:50000", []string{"198.51.100.1"}, "203.0.113.9"},
		{"no proxies configured, IPv6", "", "[2001:db8::9]:50000", nil, "2001:db8::9"},
		{"mapped peer", "", "[::ffff:203.0.113.9]:50000", nil, "203.0.113.9"},
		{"peer with a zone", "", "[fe80::1%eth0]:50000", nil, "fe80::1"},
		{"peer is no proxy: header ignored", proxies, "203.0.113.9:50000", []string{"198.51.100.1"}, "203.0.113.9"},
		{"peer is a proxy", proxies, "10.1.1.1:50000", []string{"198.51.100.1"}, "198.51.100.1"},
		{"peer is no proxy and has a zone", proxies, "[fe80::1%eth0]:50000", nil, "fe80::1"},
		{"mapped peer is a proxy", proxies, "[::ffff:10.1.1.1]:50000", []string{"198.51.100.1"}, "198.51.100.1"},
		{"forged first hop", proxies, "10.1.1.1:50000", []string{"1.2.3.4, 198.51.100.1"}, "198.51.100.1"},
		{"forged garbage", proxies, "10.1.1.1:50000", []string{"garbage, 198.51.100.1"}, "198.51.100.1"},
		{"proxies in a row", proxies, "10.1.1.1:50000", []string{"1.2.3.4, 198.51.100.1, 10.2.2.2", "fd00::1"}, "198.51.100.1"},
		{"header twice", proxies, "10.1.1.1:50000", []string{"1.2.3.4", "198.51.100.1"}, "198.51.100.1"},
		{"mapped hop", proxies, "10.1.1.1:50000", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"hop with a zone", proxies, "10.1.1.1:50000", []string{"fd00::1%x, 2001:db8::1%eth0"}, "2001:db8::1"},
		{"no header", proxies, "10.1.1.1:50000", nil, "10.1.1.1"},
		{"empty header", proxies, "10.1.1.1:50000", []string{" , ,"}, "10.1.1.1"},
		{"proxies only", proxies, "10.1.1.1:50000", []string{"10.3.3.3"}, "10.1.1.1"},
		{"unreadable hop", proxies, "10.1.1.1:50000", []string{"198.51.100.1, unknown"}, ""},
		{"unreadable hop behind a proxy", proxies, "10.1.1.1:50000", []string{"198.51.100.1, ?, 10.2.2.2"}, ""},
		{"hop with a port", proxies, "10.1.1.1:50000", []string{"198.51.100.1:443"}, ""},
		{"unreadable peer", "", "@", nil, ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			status, client := openDoor(t, row.proxies, "")(row.peer, row.forwarded)
			if status != http.StatusOK {
				t.Errorf("answered %d although any address is allowed", status)
			}
			if want, _ := netip.ParseAddr(row.want); client != want {
				t.Errorf("the client is %v, want %v", client, want)
			}
		})
	}
}

func TestSourceAddress(t *testing.T) {
	t.Parallel()
	const proxies, allowed = "10.0.0.0/8", "198.51.100.0/24, 2001:db8::/32"
	rows := []struct {
		name, peer string
		forwarded  []string
		want       int
	}{
		{"allowed", "198.51.100.7:50000", nil, 200},
		{"allowed, mapped", "[::ffff:198.51.100.7]:50000", nil, 200},
		{"allowed, IPv6", "[2001:db8::7]:50000", nil, 200},
		{"not allowed", "203.0.113.7:50000", nil, 403},
		{"not allowed, says otherwise", "203.0.113.7:50000", []string{"198.51.100.7"}, 403},
		{"allowed behind a proxy", "10.0.0.1:50000", []string{"198.51.100.7"}, 200},
		{"not allowed behind a proxy", "10.0.0.1:50000", []string{"198.51.100.7, 203.0.113.7"}, 403},
		{"the proxy itself", "10.0.0.1:50000", nil, 403},
		{"unreadable hop", "10.0.0.1:50000", []string{"198.51.100.7, ?"}, 403},
		{"unreadable peer", "nobody", nil, 403},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if status, _ := openDoor(t, proxies, allowed)(row.peer, row.forwarded); status != row.want {
				t.Errorf("answered %d, want %d", status, row.want)
			}
		})
	}
}

func TestSourceAddressThroughASocket(t *testing.T) {
	t.Parallel()
	c := config()
	c.AllowedSourceCIDRs = networks(t, "198.51.100.0/24")
	server := start(t, c, http.HandlerFunc(accept))
	if response, body := server.do(t, "POST", "/webhooks/deep-image", "{}", nil); response.StatusCode != http.StatusForbidden {
		t.Errorf("a callback was answered %d %s", response.StatusCode, body)
	}
	if response, body := server.do(t, "GET", "/livez", "", nil); response.StatusCode != http.StatusOK {
		t.Errorf("health was answered %d %s", response.StatusCode, body)
	}
}

func TestHeaderSection(t *testing.T) {
	t.Parallel()
	server := start(t, config(), http.HandlerFunc(accept)) // 8 KiB
	rows := []struct {
		name        string
		bytes       int
		status      int
		contentType string
	}{
		{"within the limit", 7 << 10, 200, "application/json"},
		{"over our limit", 8 << 10, 431, "application/problem+json"},
		{"far over it, where net/http answers", 64 << 10, 431, "text/plain; charset=utf-8"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for place, header := range map[string]http.Header{
				"one header":   {"X-Large": {strings.Repeat("a", row.bytes)}},
				"many headers": {"X-Large": strings.Split(strings.Repeat("aaaa,", row.bytes/14), ",")},
			} {
				response, body := server.do(t, "POST", "/webhooks/deep-image", "{}", header)
				if response.StatusCode != row.status || response.Header.Get("Content-Type") != row.contentType {
					t.Errorf("%s: answered %d %s", place, response.StatusCode, body)
				}
			}
			path := "/webhooks/deep-image?x=" + strings.Repeat("a", row.bytes)
			response, body := server.do(t, "POST", path, "{}", nil)
			if response.StatusCode != row.status {
				t.Errorf("long query: answered %d %s", response.StatusCode, body)
			}
		})
	}
}

// Whatever a proxy forwards: no panic, no client that is not in the header, and
// never a hop that stands left of one that cannot be read.
func FuzzForwardedFor(f *testing.F) {
	for _, seed := range []string{"198.51.100.1", "1.2.3.4, 10.0.0.2", "a, 10.0.0.2", ",,", "::1%x", "[::1]:80", "\x00", "1.2.3.4,?", "010.0.0.1"} {
		f.Add(seed)
	}
	proxies := networks(f, "10.0.0.0/8")
	serve := openDoor(f, "10.0.0.0/8", "")
	f.Fuzz(func(t *testing.T, header string) {
		status, client := serve("10.0.0.1:50000", []string{header})
		if status != http.StatusOK {
			t.Fatalf("answered %d", status)
		}
		want, readable := rightMostUntrusted(header, proxies.Contains)
		switch {
		case !readable && client.IsValid():
			t.Fatalf("%q has an unreadable hop, and gave %v", header, client)
		case readable && client != want:
			t.Fatalf("%q gave %v, want %v", header, client, want)
		}
	})
}

// rightMostUntrusted says in the plainest way what the header means.
func rightMostUntrusted(header string, trusted func(netip.Addr) bool) (netip.Addr, bool) {
	hops := strings.Split(header, ",")
	for _, hop := range slices.Backward(hops) {
		if hop = strings.TrimSpace(hop); hop == "" {
			continue
		}
		address, err := netip.ParseAddr(hop)
		if err != nil {
			return netip.Addr{}, false
		}
		if address = address.Unmap().WithZone(""); !trusted(address) {
			return address, true
		}
	}
	return netip.MustParseAddr("10.0.0.1"), true
}
