package fetch_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/fetch"
)

const (
	dnsTypeA     = 1
	dnsTypeAAAA  = 28
	dnsHeaderEnd = 12
)

// fakeDNS answers the questions about an address: the first one about a name and of
// a type with the first address, the next with the next, and then with the last.
// "10.0.0.1" is an address of every name, "inside.test=10.0.0.1" of that name only.
func fakeDNS(t testing.TB, records ...string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		answerDNS(conn, zone(records))
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

type dnsKey struct {
	name string // "" for every name
	kind uint16
}

func zone(records []string) map[dnsKey][][]netip.Addr {
	addresses := make(map[dnsKey][][]netip.Addr)
	for _, record := range records {
		name, text, named := strings.Cut(record, "=")
		if !named {
			name, text = "", record
		}
		key := dnsKey{name, dnsTypeA}
		var answer []netip.Addr
		for item := range strings.SplitSeq(text, ",") {
			answer = append(answer, netip.MustParseAddr(item))
		}
		if answer[0].Is6() {
			key.kind = dnsTypeAAAA
		}
		addresses[key] = append(addresses[key], answer)
	}
	return addresses
}

func answerDNS(conn net.PacketConn, addresses map[dnsKey][][]netip.Addr) {
	buffer := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		question, key := dnsQuestion(buffer[:n])
		if _, named := addresses[key]; !named {
			key.name = ""
		}
		left := addresses[key]
		_, _ = conn.WriteTo(dnsReply(buffer[:2], question, key.kind, slices.Concat(left[:min(len(left), 1)]...)), from)
		if len(left) > 1 {
			addresses[key] = left[1:]
		}
	}
}

// dnsQuestion returns the question section of a query with one question, and what it
// asks for.
func dnsQuestion(query []byte) (question []byte, key dnsKey) {
	var labels []string
	end := dnsHeaderEnd
	for query[end] != 0 {
		next := end + 1 + int(query[end])
		labels = append(labels, string(query[end+1:next]))
		end = next
	}
	end += 1 + 4 // the root label, type and class
	key = dnsKey{strings.ToLower(strings.Join(labels, ".")), binary.BigEndian.Uint16(query[end-4:])}
	return query[dnsHeaderEnd:end], key
}

func dnsReply(id, question []byte, kind uint16, answers []netip.Addr) []byte {
	reply := append([]byte{id[0], id[1], 0x81, 0x80, 0, 1, 0, byte(len(answers)), 0, 0, 0, 0}, question...)
	for _, addr := range answers {
		reply = append(reply, 0xc0, dnsHeaderEnd) // the name of the question
		reply = binary.BigEndian.AppendUint16(reply, kind)
		reply = append(reply, 0, 1, 0, 0, 0, 0, 0, byte(addr.BitLen()/8)) // Internet, do not keep, length
		reply = append(reply, addr.AsSlice()...)
	}
	return reply
}

func TestNamesThatLeadInside(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1", "10.0.0.1", "169.254.169.254", "168.63.129.16", "100.64.0.1", "0.0.0.0", "::1", "::ffff:127.0.0.1", "fd00:ec2::254", "64:ff9b::7f00:1", "2002:7f00:1::1"} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			server := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the server was reached, want no request") })
			config := fetch.Config{AllowedHosts: configtypes.List{"*"}, AllowHTTP: true}
			client := newClient(t, config, fetch.WithResolver(fakeDNS(t, address)))
			_, _, err := get(t, client, atHost(t, server.URL, "innocent.test")+"/?signature=hidden")
			failure := failed(t, err, fetch.KindBlockedAddress)
			if blocked := netip.MustParseAddr(address).Unmap().String(); !strings.Contains(failure.Text, "innocent.test") || !strings.Contains(failure.Text, blocked) {
				t.Errorf("text = %q, want the host innocent.test and the address %s in it", failure.Text, blocked)
			}
		})
	}
}

func TestLocalhostIsBlockedWhenAnyHostIsAllowed(t *testing.T) {
	t.Parallel()
	config := fetch.Config{AllowedHosts: configtypes.List{"*"}}
	_, _, err := get(t, newClient(t, config), "https://localhost:8073/images/x.png")
	failed(t, err, fetch.KindBlockedAddress)
}

func TestListedAddressIsStillBlocked(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			config := fetch.Config{AllowedHosts: configtypes.List{host}, AllowHTTP: true}
			_, _, err := get(t, newClient(t, config), "http://"+host+":9/latest/meta-data/")
			failed(t, err, fetch.KindBlockedAddress)
		})
	}
}

// TestOneBlockedAddress has a name with a blocked address and a permitted one that refuses the connection.
func TestOneBlockedAddress(t *testing.T) {
	t.Parallel()
	config := atHome()
	config.AllowedCIDRs = configtypes.Prefixes{netip.MustParsePrefix("127.0.0.2/32")}
	client := newClient(t, config, fetch.WithResolver(fakeDNS(t, "both.test=127.0.0.3,127.0.0.2")))
	_, _, err := get(t, client, "http://both.test:9/x.png")
	failed(t, err, fetch.KindUnreachable)
}

// TestRebinding has a name lead outside for the first connection and inside for the
// second. 127.0.0.2 is the outside: it is allowed, and 127.0.0.1 is not.
func TestRebinding(t *testing.T) {
	t.Parallel()
	var reached atomic.Int32
	server := serveEverywhere(t, func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		w.Header().Set("Connection", "close")
		_, _ = io.WriteString(w, "image")
	})
	config := atHome()
	config.AllowedCIDRs = configtypes.Prefixes{netip.MustParsePrefix("127.0.0.2/32")}
	client := newClient(t, config, fetch.WithResolver(fakeDNS(t, "127.0.0.2", "127.0.0.1")))
	address := atHost(t, server, "rebinding.test")
	if content, _, err := get(t, client, address); err != nil || string(content) != "image" {
		t.Fatalf("first request = %q, %v, want %q", content, err, "image")
	}
	_, _, err := get(t, client, address)
	failed(t, err, fetch.KindBlockedAddress)
	if reached.Load() != 1 {
		t.Errorf("requests = %d, want 1", reached.Load())
	}
}

func TestNameThatIsNotKnown(t *testing.T) {
	t.Parallel()
	_, _, err := get(t, newClient(t, atHome(), fetch.WithResolver(fakeDNS(t))), "https://nowhere.test/x.png")
	failed(t, err, fetch.KindUnreachable)
}

// TestProxyOfTheEnvironmentIsIgnored is not parallel because it sets variables.
func TestProxyOfTheEnvironmentIsIgnored(t *testing.T) {
	proxy := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the proxy was used, want no request") })
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, proxy.URL)
	}
	config := atHome() // which allows the proxy's address: only the rule keeps it out
	client := newClient(t, config, fetch.WithResolver(fakeDNS(t, "10.0.0.1")))
	_, _, err := get(t, client, "http://innocent.test/")
	failed(t, err, fetch.KindBlockedAddress)
	_, _, err = get(t, client, "https://innocent.test/")
	failed(t, err, fetch.KindBlockedAddress)
}
