package fetch_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/fetch"
)

// secureServer speaks TLS for example.com and 127.0.0.1.
func secureServer(t *testing.T, http2 bool, configure func(*tls.Config), handler http.HandlerFunc) (*httptest.Server, *x509.CertPool) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = http2
	server.TLS = &tls.Config{}
	server.Config.ErrorLog = silence()
	if configure != nil {
		configure(server.TLS)
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return server, roots
}

func TestGetOverTLS(t *testing.T) {
	t.Parallel()
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := noise(3 << 18)
			var major atomic.Int32
			server, roots := secureServer(t, http2, nil, func(w http.ResponseWriter, r *http.Request) {
				major.Store(int32(r.ProtoMajor))
				_, _ = w.Write(want)
			})
			config := atHome()
			config.AllowHTTP = false
			content, _, err := get(t, newClient(t, config, fetch.WithRootCAs(roots)), server.URL)
			if err != nil || !bytes.Equal(content, want) {
				t.Fatalf("got %d bytes, error %v, want %d", len(content), err, len(want))
			}
			if (major.Load() == 2) != http2 {
				t.Errorf("protocol = HTTP/%d, want HTTP/2 = %t", major.Load(), http2)
			}
		})
	}
}

func TestTLSThatIsNotTrusted(t *testing.T) {
	t.Parallel()
	old := func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }
	expired := func(c *tls.Config) { c.Certificates = []tls.Certificate{expiredCertificate(t)} }
	for _, row := range []struct {
		name, host string
		trusted    bool
		configure  func(*tls.Config)
	}{
		{name: "unknown authority", host: "127.0.0.1"},
		{name: "another host", host: "other.test", trusted: true},
		{name: "expired", host: "127.0.0.1", trusted: true, configure: expired},
		{name: "old version", host: "127.0.0.1", trusted: true, configure: old},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server, roots := secureServer(t, false, row.configure, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") })
			options := []fetch.Option{fetch.WithResolver(fakeDNS(t, "127.0.0.1"))}
			if row.trusted {
				options = append(options, fetch.WithRootCAs(roots))
			}
			_, _, err := get(t, newClient(t, atHome(), options...), atHost(t, server.URL, row.host))
			failed(t, err, fetch.KindUnreachable)
		})
	}
}

// expiredCertificate is for 127.0.0.1, signed by itself, and was valid until yesterday.
func expiredCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().AddDate(0, 0, -2),
		NotAfter:     time.Now().AddDate(0, 0, -1),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestHTTPServerAskedByTLS(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") })
	_, _, err := get(t, newClient(t, atHome()), strings.Replace(server.URL, "http", "https", 1))
	failed(t, err, fetch.KindUnreachable)
}
