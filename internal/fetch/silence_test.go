package fetch_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/fetch"
)

// silentHost has several addresses, of which 127.0.0.2 and 127.0.0.3 answer only after a pause.
type silentHost struct {
	url    string
	silent atomic.Int32 // requests at these addresses
}

func newSilentHost(t *testing.T, pause time.Duration, start func(*httptest.Server)) (h *silentHost, server *httptest.Server) {
	t.Helper()
	h = &silentHost{}
	listener, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		if address := local.String(); strings.HasPrefix(address, "127.0.0.2:") || strings.HasPrefix(address, "127.0.0.3:") {
			h.silent.Add(1)
			select {
			case <-time.After(pause):
			case <-r.Context().Done():
				return
			}
		}
		_, _ = io.WriteString(w, "image")
	}))
	_ = server.Listener.Close()
	server.Listener, server.Config.ErrorLog = listener, silence()
	start(server)
	t.Cleanup(server.Close)
	h.url = server.URL
	return h, server
}

// TestSilentAddress has a host with an address that accepts requests and does not answer.
func TestSilentAddress(t *testing.T) {
	t.Parallel()
	const never = time.Hour
	rows := []struct {
		name   string
		dns    string
		pause  time.Duration
		header time.Duration // 0 for the usual
		kind   fetch.Kind    // "" for success
		silent int32         // requests at silent addresses, of two fetches
	}{
		{name: "B7 another answers", dns: "127.0.0.2,127.0.0.4", pause: never, silent: 1},
		{name: "B7 the third answers", dns: "127.0.0.2,127.0.0.3,127.0.0.4", pause: never, silent: 2},
		{name: "B7 the only address is slow", dns: "127.0.0.2", pause: time.Second, silent: 2},
		{name: "B7 all are slow", dns: "127.0.0.2,127.0.0.3", pause: time.Second, silent: 3},
		{name: "B7 all are silent", dns: "127.0.0.2,127.0.0.3", pause: never, header: 500 * time.Millisecond, kind: fetch.KindTimeout, silent: 3},
	}
	starts := []struct {
		name  string
		start func(*httptest.Server)
	}{
		{"HTTP/1", (*httptest.Server).Start},
		{"HTTP/2", func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() }},
	}
	for _, row := range rows {
		for _, start := range starts {
			t.Run(row.name+" "+start.name, func(t *testing.T) {
				t.Parallel()
				host, server := newSilentHost(t, row.pause, start.start)
				options := []fetch.Option{
					fetch.WithResolver(fakeDNS(t, "example.com="+row.dns)), fetch.WithLimits(fetch.Limits{Silence: 200 * time.Millisecond, Header: row.header}),
				}
				if server.TLS != nil {
					options = append(options, fetch.WithRootCAs(server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs))
				}
				client := newClient(t, atHome(), options...)
				for range 2 {
					content, _, err := get(t, client, atHost(t, host.url, "example.com"))
					if row.kind != "" {
						failed(t, err, row.kind)
					} else if err != nil || string(content) != "image" {
						t.Errorf("content = %q, error %v, want image", content, err)
					}
				}
				if got := host.silent.Load(); got != row.silent {
					t.Errorf("requests at silent addresses = %d, want %d", got, row.silent)
				}
			})
		}
	}
}

// TestSilentHandshake has a host with an address that accepts connections and never answers the TLS handshake.
func TestSilentHandshake(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "image") }))
	t.Cleanup(server.Close)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	mute, err := net.Listen("tcp", "127.0.0.2:"+port)
	if err != nil {
		t.Skipf("the port is used at another address: %v", err)
	}
	t.Cleanup(func() { _ = mute.Close() })
	client := newClient(t, atHome(), fetch.WithResolver(fakeDNS(t, "example.com=127.0.0.2,127.0.0.1")),
		fetch.WithRootCAs(server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs),
		fetch.WithLimits(fetch.Limits{Silence: 100 * time.Millisecond, Handshake: 500 * time.Millisecond}))
	address := atHost(t, server.URL, "example.com")
	_, _, err = get(t, client, address)
	if err == nil {
		t.Fatal("error = none, want that of the silent address")
	}
	if content, _, err := get(t, client, address); err != nil || string(content) != "image" {
		t.Errorf("B7 next fetch = %q, error %v, want image", content, err)
	}
}

// TestSlowResponse has a slow response beside a transfer over the same HTTP/2 connection, which goes on.
func TestSlowResponse(t *testing.T) {
	t.Parallel()
	const pieces, interval = 30, 50 * time.Millisecond
	begun, ended := make(chan struct{}), make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-ended
			_, _ = io.WriteString(w, "image")
			return
		}
		defer close(ended)
		for n := range pieces {
			_, _ = io.WriteString(w, "piece")
			_ = http.NewResponseController(w).Flush()
			if n == 0 {
				close(begun)
			}
			<-time.After(interval)
		}
	}))
	server.EnableHTTP2, server.Config.ErrorLog = true, silence()
	listener, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = server.Listener.Close()
	server.Listener = listener
	server.StartTLS()
	t.Cleanup(server.Close)
	client := newClient(t, atHome(), fetch.WithResolver(fakeDNS(t, "example.com=127.0.0.2,127.0.0.3")),
		fetch.WithRootCAs(server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs),
		fetch.WithLimits(fetch.Limits{Silence: pieces * interval / 2}))
	address := atHost(t, server.URL, "example.com")
	var group sync.WaitGroup
	group.Go(func() {
		if content, _, err := get(t, client, address+"/long"); err != nil || len(content) != pieces*len("piece") {
			t.Errorf("transfer = %d bytes, error %v, want %d", len(content), err, pieces*len("piece"))
		}
	})
	<-begun
	if content, _, err := get(t, client, address+"/slow"); err != nil || string(content) != "image" {
		t.Errorf("slow response = %q, error %v, want image", content, err)
	}
	group.Wait()
}
