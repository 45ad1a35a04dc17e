package httpserver_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/httpserver"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/rs/zerolog"
)

// serve sends a callback from a remote address with these headers. It returns the status and the client IP.
type serve func(remote string, header http.Header) (int, netip.Addr)

func newServe(t testing.TB, proxies, allowed string) serve {
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
	return func(remote string, header http.Header) (int, netip.Addr) {
		request := httptest.NewRequest(http.MethodPost, event.WebhookPath, http.NoBody)
		request.RemoteAddr = remote
		maps.Copy(request.Header, header)
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, request)
		return response.Code, client
	}
}

func xff(lines ...string) http.Header { return http.Header{"X-Forwarded-For": lines} }

func forwarded(lines ...string) http.Header { return http.Header{"Forwarded": lines} }

func TestClientIP(t *testing.T) {
	t.Parallel()
	const proxies, proxy = "10.0.0.0/8, fd00::/8", "10.1.1.1:50000"
	rows := []struct {
		name, proxies, remote string
		header                http.Header
		want                  string // "" for unreadable
	}{
		{"no proxies configured", "", "203.0.113.9:50000", xff("198.51.100.1"), "203.0.113.9"},
		{"no proxies configured, IPv6", "", "[2001:db8::9]:50000", nil, "2001:db8::9"},
		{"mapped remote", "", "[::ffff:203.0.113.9]:50000", nil, "203.0.113.9"},
		{"remote with a zone", "", "[fe80::1%eth0]:50000", nil, "fe80::1"},
		{"remote is no proxy: header ignored", proxies, "203.0.113.9:50000", xff("198.51.100.1"), "203.0.113.9"},
		{"remote is no proxy: Forwarded ignored", proxies, "203.0.113.9:50000", forwarded("for=198.51.100.1"), "203.0.113.9"},
		{"remote is a proxy", proxies, proxy, xff("198.51.100.1"), "198.51.100.1"},
		{"remote is no proxy and has a zone", proxies, "[fe80::1%eth0]:50000", nil, "fe80::1"},
		{"mapped remote is a proxy", proxies, "[::ffff:10.1.1.1]:50000", xff("198.51.100.1"), "198.51.100.1"},
		{"forged first hop", proxies, proxy, xff("1.2.3.4, 198.51.100.1"), "198.51.100.1"},
		{"forged garbage", proxies, proxy, xff("garbage, 198.51.100.1"), "198.51.100.1"},
		{"proxies in a row", proxies, proxy, xff("1.2.3.4, 198.51.100.1, 10.2.2.2", "fd00::1"), "198.51.100.1"},
		{"header twice", proxies, proxy, xff("1.2.3.4", "198.51.100.1"), "198.51.100.1"},
		{"mapped hop", proxies, proxy, xff("::ffff:198.51.100.1"), "198.51.100.1"},
		{"hop with a zone", proxies, proxy, xff("fd00::1%x, 2001:db8::1%eth0"), "2001:db8::1"},
		{"no header", proxies, proxy, nil, "10.1.1.1"},
		{"empty header", proxies, proxy, xff(" , ,"), "10.1.1.1"},
		{"proxies only", proxies, proxy, xff("10.3.3.3"), "10.1.1.1"},
		{"unreadable hop", proxies, proxy, xff("198.51.100.1, unknown"), ""},
		{"unreadable hop before a proxy", proxies, proxy, xff("198.51.100.1, ?, 10.2.2.2"), ""},
		{"unreadable remote", "", "@", nil, ""},
		{"A6 port", proxies, proxy, xff("1.2.3.4:61598"), "1.2.3.4"},
		{"A6 port of IPv6", proxies, proxy, xff("[2001:db8::1]:61598"), "2001:db8::1"},
		{"A6 brackets", proxies, proxy, xff("[2001:db8::1]"), "2001:db8::1"},
		{"A6 quotes", proxies, proxy, xff(`"1.2.3.4"`), "1.2.3.4"},
		{"A6 quotes, brackets and port", proxies, proxy, xff(`9.9.9.9, "[2001:db8::1]:443", 10.2.2.2:80`), "2001:db8::1"},
		{"A6 port of a mapped address", proxies, proxy, xff("[::ffff:1.2.3.4]:80"), "1.2.3.4"},
		{"A6 brackets not closed", proxies, proxy, xff("[2001:db8::1"), ""},
		{"A6 text after brackets", proxies, proxy, xff("[2001:db8::1]x"), ""},
		{"A6 host name with a port", proxies, proxy, xff("example.com:80"), ""},
		{"A6 Forwarded", proxies, proxy, forwarded("for=192.0.2.43"), "192.0.2.43"},
		{"A6 Forwarded with parameters", proxies, proxy, forwarded(`For="[2001:db8:cafe::17]:4711";proto=https;by=203.0.113.43`), "2001:db8:cafe::17"},
		{"A6 Forwarded, several hops", proxies, proxy, forwarded("for=1.1.1.1, for=192.0.2.43;host=\"a,b;for=2.2.2.2\"", "for=10.2.2.2"), "192.0.2.43"},
		{"A6 Forwarded, unknown", proxies, proxy, forwarded("for=1.1.1.1, for=unknown"), ""},
		{"A6 Forwarded, obfuscated", proxies, proxy, forwarded("for=1.1.1.1, for=_hidden"), ""},
		{"A6 Forwarded without for", proxies, proxy, forwarded("for=1.1.1.1, proto=https"), ""},
		{"A6 both headers", proxies, proxy, http.Header{"X-Forwarded-For": {"198.51.100.1"}, "Forwarded": {"for=1.1.1.1"}}, "198.51.100.1"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			status, client := newServe(t, row.proxies, "")(row.remote, row.header)
			if status != http.StatusOK {
				t.Errorf("status = %d, want 200 without an allow-list", status)
			}
			if want, _ := netip.ParseAddr(row.want); client != want {
				t.Errorf("client IP = %v, want %v", client, want)
			}
		})
	}
}

func TestAllowedSources(t *testing.T) {
	t.Parallel()
	const proxies, allowed = "10.0.0.0/8", "198.51.100.0/24, 2001:db8::/32"
	rows := []struct {
		name, remote string
		header       http.Header
		want         int
	}{
		{"allowed", "198.51.100.7:50000", nil, 200},
		{"allowed, mapped", "[::ffff:198.51.100.7]:50000", nil, 200},
		{"allowed, IPv6", "[2001:db8::7]:50000", nil, 200},
		{"not allowed", "203.0.113.7:50000", nil, 403},
		{"not allowed, says otherwise", "203.0.113.7:50000", xff("198.51.100.7"), 403},
		{"allowed behind a proxy", "10.0.0.1:50000", xff("198.51.100.7"), 200},
		{"not allowed behind a proxy", "10.0.0.1:50000", xff("198.51.100.7, 203.0.113.7"), 403},
		{"the proxy itself", "10.0.0.1:50000", nil, 403},
		{"unreadable hop", "10.0.0.1:50000", xff("198.51.100.7, ?"), 403},
		{"unreadable remote", "unix", nil, 403},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if status, _ := newServe(t, proxies, allowed)(row.remote, row.header); status != row.want {
				t.Errorf("status = %d, want %d", status, row.want)
			}
		})
	}
}

func TestAllowedSourcesThroughASocket(t *testing.T) {
	t.Parallel()
	c := config()
	c.AllowedSourceCIDRs = networks(t, "198.51.100.0/24")
	server := start(t, c, http.HandlerFunc(accept))
	if response, body := server.do(t, "POST", "/webhooks/deep-image", "{}", nil); response.StatusCode != http.StatusForbidden {
		t.Errorf("status of a callback = %d %s, want 403", response.StatusCode, body)
	}
	if response, body := server.do(t, "GET", "/livez", "", nil); response.StatusCode != http.StatusOK {
		t.Errorf("status of /livez = %d %s, want 200", response.StatusCode, body)
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
		{"far over the limit, answered by net/http", 64 << 10, 431, "text/plain; charset=utf-8"},
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
					t.Errorf("%s: status, type = %d, %s, want %d, %s: %s", place, response.StatusCode, response.Header.Get("Content-Type"), row.status, row.contentType, body)
				}
			}
			path := "/webhooks/deep-image?x=" + strings.Repeat("a", row.bytes)
			response, body := server.do(t, "POST", path, "{}", nil)
			if response.StatusCode != row.status {
				t.Errorf("long query: status = %d, want %d: %s", response.StatusCode, row.status, body)
			}
		})
	}
}

// FuzzForwardedFor wants no panic, no client IP that is not in the header, and no hop to the left of an unreadable one.
func FuzzForwardedFor(f *testing.F) {
	for _, seed := range []string{"198.51.100.1", "1.2.3.4, 10.0.0.2", "a, 10.0.0.2", ",,", "::1%x", "[::1]:80", "\x00", "1.2.3.4,?", "010.0.0.1", `"1.2.3.4:5"`} {
		f.Add(seed)
	}
	proxies := networks(f, "10.0.0.0/8")
	serve := newServe(f, "10.0.0.0/8", "")
	f.Fuzz(func(t *testing.T, header string) {
		for _, h := range []http.Header{xff(header), forwarded(header)} {
			status, client := serve("10.0.0.1:50000", h)
			if status != http.StatusOK {
				t.Fatalf("status = %d, want 200", status)
			}
			if strings.ContainsAny(header, `"[]`) || h.Get("Forwarded") != "" {
				continue // rightMostUntrusted does not read these
			}
			want, readable := rightMostUntrusted(header, proxies.Contains)
			if readable && client != want || !readable && client.IsValid() {
				t.Fatalf("client IP of %q = %v, want %v, readable %t", header, client, want, readable)
			}
		}
	})
}

// rightMostUntrusted reads a header without quotes and brackets in the plainest way.
func rightMostUntrusted(header string, trusted func(netip.Addr) bool) (netip.Addr, bool) {
	for _, hop := range slices.Backward(strings.Split(header, ",")) {
		if hop = strings.TrimSpace(hop); hop == "" {
			continue
		}
		if parts := strings.Split(hop, ":"); len(parts) == 2 {
			hop = parts[0]
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
