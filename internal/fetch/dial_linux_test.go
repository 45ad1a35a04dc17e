package fetch_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/fetch"
)

// silent makes an address ignore connects to a port, like one behind a firewall: its queue of connections is full.
func silent(t *testing.T, address string, port int) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: netip.MustParseAddr(address).As4()}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	// With a backlog of 0 the queue holds one connection.
	conn, err := net.Dial("tcp", net.JoinHostPort(address, fmt.Sprint(port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
}

func TestSomeAddressesAreDead(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name       string
		dead, good int // addresses
		blocked    bool
		want       fetch.Kind
	}{
		{name: "B7 eleven of twelve addresses are dead", dead: 11, good: 1},
		{name: "B7 eleven of twelve addresses are dead, and some are blocked", dead: 11, good: 1, blocked: true},
		{name: "B7 all addresses are dead", dead: 12, want: fetch.KindTimeout},
		{name: "B7 all addresses are dead or blocked", dead: 12, blocked: true, want: fetch.KindTimeout},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp4", "127.0.1.1:0")
			if err != nil {
				t.Fatal(err)
			}
			server := &http.Server{
				Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "image") }),
				ReadHeaderTimeout: time.Minute,
			}
			done := make(chan struct{})
			go func() { defer close(done); _ = server.Serve(listener) }()
			t.Cleanup(func() { _ = server.Close(); <-done })
			port := listener.Addr().(*net.TCPAddr).Port
			var addresses []string
			for n := range row.dead {
				addresses = append(addresses, fmt.Sprintf("127.0.1.%d", 100+n))
				silent(t, addresses[n], port)
			}
			if row.blocked {
				addresses = append([]string{"10.0.0.1"}, addresses...)
			}
			if row.good > 0 {
				addresses = append(addresses, "127.0.1.1")
			}
			config := atHome()
			config.AllowedCIDRs = configtypes.Prefixes{netip.MustParsePrefix("127.0.1.0/24")}
			client := newClient(t, config, fetch.WithLimits(fetch.Limits{Dial: 2 * time.Second}), fetch.WithResolver(fakeDNS(t, strings.Join(addresses, ","))))
			content, _, err := get(t, client, fmt.Sprintf("http://many.test:%d/x.png", port))
			if row.want != "" {
				failed(t, err, row.want)
			} else if err != nil || string(content) != "image" {
				t.Errorf("Get() = %q, %v, want %q", content, err, "image")
			}
		})
	}
}
