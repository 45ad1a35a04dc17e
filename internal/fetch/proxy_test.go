package fetch_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// proxy is an HTTP proxy that connects every name to target. It refuses with status unless that is 0.
type proxy struct {
	target      string
	status      int
	credentials string
	asked       atomic.Int32
}

// ServeHTTP serves CONNECT and requests with an absolute URL.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.asked.Add(1)
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(p.credentials))
	switch {
	case p.status != 0:
		w.WriteHeader(p.status)
	case p.credentials != "" && r.Header.Get("Proxy-Authorization") != want:
		w.WriteHeader(http.StatusProxyAuthRequired)
	case r.Method == http.MethodConnect:
		p.tunnel(w, r)
	default:
		to := &httputil.ReverseProxy{Rewrite: func(request *httputil.ProxyRequest) { request.Out.URL.Host = p.target }}
		to.ServeHTTP(w, r)
	}
}

func (p *proxy) tunnel(w http.ResponseWriter, r *http.Request) {
	to, err := new(net.Dialer).DialContext(r.Context(), "tcp", p.target)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer func() { _ = to.Close() }()
	w.WriteHeader(http.StatusOK)
	from, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = from.Close() }()
	done := make(chan struct{})
	go func() { defer close(done); _, _ = io.Copy(to, buffered); _ = to.Close() }()
	_, _ = io.Copy(from, to)
	_ = from.Close()
	<-done
}

func TestProxy(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, path  string // path is the URL without port
		hosts       string // allowed; * if empty
		plain       bool   // http
		user        string // in the URL of the proxy
		credentials string // that the proxy wants
		status      int    // of the proxy
		noProxy     bool   // the proxy is down
		want        fetch.Kind
		unasked     bool // the proxy gets no request
	}{
		{name: "B6 https through the proxy", path: "https://example.com/x.png"},
		{name: "B6 http through the proxy", path: "http://images.test/x.png", plain: true},
		{name: "B6 proxy with a password", path: "https://example.com/x.png", user: "me:hidden", credentials: "me:hidden"},
		{name: "B6 proxy with a wrong password", path: "https://example.com/x.png", user: "me:wrong", credentials: "me:hidden", want: fetch.KindProxy},
		{name: "B6 http, proxy with a wrong password", path: "http://images.test/x.png", plain: true, credentials: "me:hidden", want: fetch.KindProxy},
		{name: "B6 host answers like a proxy", path: "https://example.com/407", want: fetch.KindStatus},
		{name: "B6 proxy refuses the host", path: "https://example.com/x.png", status: http.StatusForbidden, want: fetch.KindProxy},
		{name: "B6 proxy cannot reach the host", path: "https://example.com/x.png", status: http.StatusBadGateway, want: fetch.KindUnreachable},
		{name: "B6 proxy is down", path: "https://example.com/x.png", noProxy: true, want: fetch.KindProxy, unasked: true},
		{name: "B6 names are checked", path: "https://example.com/x.png", hosts: "other.test", want: fetch.KindHostNotAllowed, unasked: true},
		{name: "B6 addresses in the URL are checked", path: "https://10.0.0.1/x.png", hosts: "10.0.0.1", want: fetch.KindBlockedAddress, unasked: true},
		{name: "B6 mapped addresses in the URL are checked", path: "https://[::ffff:169.254.169.254]/x.png", hosts: "169.254.169.254", want: fetch.KindBlockedAddress, unasked: true},
		{name: "B6 localhost is checked", path: "https://localhost/x.png", want: fetch.KindBlockedAddress, unasked: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			image := func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/407" {
					w.WriteHeader(http.StatusProxyAuthRequired)
				}
				_, _ = io.WriteString(w, "image")
			}
			server, roots := secureServer(t, true, nil, image)
			if row.plain {
				server = serve(t, image)
			}
			between := &proxy{target: server.Listener.Addr().String(), status: row.status, credentials: row.credentials}
			gateway := httptest.NewServer(between)
			defer gateway.Close()
			if row.noProxy {
				gateway.Close()
			}
			config := fetch.Config{AllowedHosts: configtypes.List{"*"}, AllowHTTP: true, ProxyURL: secret.New(withUser(gateway.URL, row.user))}
			if row.hosts != "" {
				config.AllowedHosts = configtypes.List{row.hosts}
			}
			client := newClient(t, config, fetch.WithRootCAs(roots), fetch.WithResolver(noDNS()))
			content, _, err := get(t, client, row.path)
			if row.want != "" {
				if failure := failed(t, err, row.want); strings.Contains(failure.Text, "hidden") || strings.Contains(failure.Text, "me:") {
					t.Errorf("text = %q, want no credentials in it", failure.Text)
				}
			} else if err != nil || string(content) != "image" {
				t.Errorf("Get() = %q, %v, want %q", content, err, "image")
			}
			if asked := between.asked.Load() > 0; asked == row.unasked {
				t.Errorf("proxy was asked = %t, want %t", asked, !row.unasked)
			}
		})
	}
}

func withUser(address, user string) string {
	if user == "" {
		return address
	}
	return strings.Replace(address, "://", "://"+user+"@", 1)
}

// noDNS fails every lookup: behind a proxy there may be no DNS of the outside.
func noDNS() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }}
}

func TestSOCKSProxy(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		method byte // that the proxy chooses: 0 none, 2 password, 255 none of ours
		reply  byte
		user   string // in the URL of the proxy
		want   fetch.Kind
	}{
		{name: "B6 SOCKS proxy"},
		{name: "B6 SOCKS proxy with a password", method: 2, user: "me:hidden"},
		{name: "B6 SOCKS proxy with a wrong password", method: 2, user: "me:wrong", want: fetch.KindProxy},
		{name: "B6 SOCKS proxy wants a password", method: 255, want: fetch.KindProxy},
		{name: "B6 SOCKS proxy refuses", reply: 2, want: fetch.KindUnreachable},
		{name: "B6 SOCKS proxy cannot reach the host", reply: 4, want: fetch.KindUnreachable},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server, roots := secureServer(t, false, nil, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "image") })
			gateway := "socks5://" + socks(t, server.Listener.Addr().String(), row.method, row.reply)
			config := fetch.Config{AllowedHosts: configtypes.List{"*"}, ProxyURL: secret.New(withUser(gateway, row.user))}
			content, _, err := get(t, newClient(t, config, fetch.WithRootCAs(roots)), "https://example.com/x.png")
			if row.want != "" {
				if failure := failed(t, err, row.want); strings.Contains(failure.Text, "wrong") {
					t.Errorf("text = %q, want no credentials in it", failure.Text)
				}
			} else if err != nil || string(content) != "image" {
				t.Errorf("Get() = %q, %v, want %q", content, err, "image")
			}
		})
	}
}

// The connection of a SOCKS proxy that does not answer must not stay open after the transfer.
func TestSOCKSProxyThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	serveConnections(t, listener, func(conn net.Conn, _ int) {
		_, _ = io.Copy(io.Discard, conn)
		close(ended)
	})
	config := fetch.Config{AllowedHosts: configtypes.List{"*"}, ProxyURL: secret.New("socks5://" + listener.Addr().String())}
	client := newClient(t, config, fetch.WithLimits(fetch.Limits{Header: time.Second}))
	_, _, err = get(t, client, "https://example.com/x.png")
	failed(t, err, fetch.KindUnreachable)
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the connection to the proxy is open, want it closed")
	}
}

func TestSOCKSProxyIsDown(t *testing.T) {
	t.Parallel()
	config := fetch.Config{AllowedHosts: configtypes.List{"*"}, ProxyURL: secret.New("socks5://127.0.0.1:1")}
	_, _, err := get(t, newClient(t, config), "https://example.com/x.png")
	failed(t, err, fetch.KindProxy)
}

// socks is a SOCKS5 proxy for one connection, which it connects to target, or answers with another reply than 0. Its password is hidden.
func socks(t *testing.T, target string, method, reply byte) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		greeting, request := make([]byte, 2), make([]byte, 5)
		_, _ = io.ReadFull(conn, greeting)
		_, _ = io.CopyN(io.Discard, conn, int64(greeting[1])) // the methods
		_, _ = conn.Write([]byte{5, method})
		if method == 2 && !admits(conn) {
			return
		}
		if _, err := io.ReadFull(conn, request); err != nil {
			return
		}
		_, _ = io.CopyN(io.Discard, conn, int64(request[4])+2) // the name and the port
		_, _ = conn.Write([]byte{5, reply, 0, 1, 0, 0, 0, 0, 0, 0})
		to, err := net.Dial("tcp", target)
		if err != nil || reply != 0 {
			return
		}
		sent := make(chan struct{})
		go func() { defer close(sent); _, _ = io.Copy(to, conn); _ = to.Close() }()
		_, _ = io.Copy(conn, to)
		_ = conn.Close()
		<-sent
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return listener.Addr().String()
}

// admits answers the credentials that a client sends: 1, the user and the password, each behind its length.
func admits(conn net.Conn) bool {
	const want = "\x01\x02me\x06hidden"
	got := make([]byte, 5) // to the length of the password
	_, _ = io.ReadFull(conn, got)
	password := make([]byte, got[4])
	_, _ = io.ReadFull(conn, password)
	ok := string(got)+string(password) == want
	status := byte(1)
	if ok {
		status = 0
	}
	_, _ = conn.Write([]byte{1, status})
	return ok
}

func TestProxyURLs(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		url string
		ok  bool
	}{
		{url: "http://proxy.example.com:3128", ok: true},
		{url: "https://user:p%40ss@proxy.example.com:3128/", ok: true},
		{url: "socks5://127.0.0.1:1080", ok: true},
		{url: "socks5h://[::1]:1080", ok: true},
		{url: "proxy.example.com:3128"},
		{url: "ftp://proxy.example.com:3128"},
		{url: "http://"},
		{url: "http://proxy.example.com:0"},
		{url: "http://proxy.example.com/path"},
		{url: "http://proxy.example.com:3128?x=y"},
		{url: "http://hidden:%zz@proxy.example.com"},
	} {
		t.Run(row.url, func(t *testing.T) {
			t.Parallel()
			err := fetch.Config{ProxyURL: secret.New(row.url)}.Validate()
			if (err == nil) != row.ok {
				t.Errorf("Validate() of the proxy %q = %v, want ok = %t", row.url, err, row.ok)
			}
			if err != nil && strings.Contains(fmt.Sprint(err), "hidden") {
				t.Errorf("Validate() = %v, want no credentials in it", err)
			}
		})
	}
}

// TestUnusedProxyIsNamed is not parallel because it sets a variable.
func TestUnusedProxyIsNamed(t *testing.T) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, "")
	}
	refused := "http://127.0.0.1:1/x.png"
	for _, row := range []struct {
		name, variable string
		resolver       *net.Resolver
		url            string
	}{
		{name: "B6 refused connection", variable: "HTTPS_PROXY", url: refused},
		{name: "B6 no DNS", variable: "http_proxy", url: "http://images.test/x.png", resolver: noDNS()},
		{name: "no proxy is set", url: refused},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.variable != "" {
				t.Setenv(row.variable, (&url.URL{Scheme: "http", User: url.UserPassword("me", "hidden"), Host: "proxy.test:3128"}).String())
			}
			_, _, err := get(t, newClient(t, atHome(), fetch.WithResolver(row.resolver)), row.url)
			text := failed(t, err, fetch.KindUnreachable).Text
			if got, want := strings.Contains(text, "RECEIVER_FETCH_PROXY_URL"), row.variable != ""; got != want || !strings.Contains(text, row.variable) || strings.Contains(text, "hidden") {
				t.Errorf("text = %q, want the variable %q and the setting in it = %t, and no credentials", text, row.variable, want)
			}
		})
	}
}
