package httpclient_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/deepimage-receiver/receiver/internal/httpclient"
	"github.com/deepimage-receiver/receiver/internal/telemetry"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestUserAgent(t *testing.T) {
	t.Parallel()
	if got, want := httpclient.UserAgent(), "deepimage-receiver/"+telemetry.CurrentBuild().Version; got != want {
		t.Errorf("UserAgent() = %q, want %q", got, want)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		name, value string
		want        time.Duration
	}{
		{name: "absent", value: "", want: 0},
		{name: "seconds", value: "7", want: 7 * time.Second},
		{name: "blanks around seconds", value: " 7 ", want: 7 * time.Second},
		{name: "negative seconds", value: "-7", want: 0},
		{name: "fraction", value: "1.5", want: 0},
		{name: "exponent", value: "1e3", want: 0},
		{name: "sign", value: "+5", want: 0},
		{name: "text", value: "soon", want: 0},
		{name: "date of RFC 850", value: "Saturday, 28-Nov-26 12:00:30 GMT", want: 30 * time.Second},
		{name: "date of asctime", value: "Sat Nov 28 12:00:30 2026", want: 30 * time.Second},
		{name: "a day", value: "86400", want: 24 * time.Hour},
		{name: "more than a day", value: "86401", want: 24 * time.Hour},
		{name: "more than an integer holds", value: "99999999999999999999", want: 24 * time.Hour},
		{name: "date in the future", value: "Sat, 28 Nov 2026 12:01:00 GMT", want: time.Minute},
		{name: "date in the past", value: "Thu, 01 Jan 1970 00:00:00 GMT", want: 0},
		{name: "date far in the future", value: "Fri, 31 Dec 9999 23:59:59 GMT", want: 24 * time.Hour},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := httpclient.RetryAfter(http.Header{"Retry-After": {row.value}}, now); got != row.want {
				t.Errorf("RetryAfter(%q) = %s, want %s", row.value, got, row.want)
			}
		})
	}
}

func TestReadAtMost(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, body, want string
		truncated        bool
	}{
		{name: "empty", body: "", want: ""},
		{name: "shorter", body: "ab", want: "ab"},
		{name: "exact", body: "abc", want: "abc"},
		{name: "longer", body: "abcd", want: "abc", truncated: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, truncated, err := httpclient.ReadAtMost(strings.NewReader(row.body), 3)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != row.want || truncated != row.truncated {
				t.Errorf("ReadAtMost(%q, 3) = %q, %t, want %q, %t", row.body, got, truncated, row.want, row.truncated)
			}
		})
	}
	t.Run("error in the middle", func(t *testing.T) {
		t.Parallel()
		body := io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(io.ErrUnexpectedEOF))
		got, _, err := httpclient.ReadAtMost(body, 3)
		if string(got) != "ab" || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("ReadAtMost = %q, error %v, want %q, error %v", got, err, "ab", io.ErrUnexpectedEOF)
		}
	})
}

func TestClassify(t *testing.T) {
	t.Parallel()
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	certificate := func(err error) error { return &tls.CertificateVerificationError{Err: err} }
	for _, row := range []struct {
		name        string
		err         error
		class       httpclient.Class
		cause       error
		unreachable bool
	}{
		{name: "unknown name", err: dial(&net.DNSError{IsNotFound: true}), class: httpclient.ClassDNS, unreachable: true},
		{name: "name server fails", err: dial(&net.DNSError{}), class: httpclient.ClassDNS, unreachable: true},
		{name: "name server is silent", err: dial(&net.DNSError{IsTimeout: true}), class: httpclient.ClassTimeout},
		{name: "refused", err: dial(syscall.ECONNREFUSED), class: httpclient.ClassConnect, cause: syscall.ECONNREFUSED, unreachable: true},
		{name: "no route", err: dial(syscall.EHOSTUNREACH), class: httpclient.ClassConnect, cause: syscall.EHOSTUNREACH, unreachable: true},
		{name: "connect timeout", err: dial(syscall.ETIMEDOUT), class: httpclient.ClassTimeout},
		{name: "reset", err: &net.OpError{Op: "read", Err: syscall.ECONNRESET}, class: httpclient.ClassBroken, cause: syscall.ECONNRESET},
		{name: "end", err: fmt.Errorf("read: %w", io.EOF), class: httpclient.ClassBroken, cause: io.ErrUnexpectedEOF},
		{name: "unknown authority", err: certificate(x509.UnknownAuthorityError{}), class: httpclient.ClassTLS, unreachable: true},
		{name: "other host", err: certificate(x509.HostnameError{Certificate: &x509.Certificate{}}), class: httpclient.ClassTLS, unreachable: true},
		{name: "expired", err: certificate(x509.CertificateInvalidError{Reason: x509.Expired}), class: httpclient.ClassTLS, unreachable: true},
		{name: "alert", err: &net.OpError{Op: "remote error", Err: tls.AlertError(40)}, class: httpclient.ClassTLS, unreachable: true},
		{name: "no TLS", err: errors.New("tls: first record does not look like a TLS handshake"), class: httpclient.ClassTLS, unreachable: true},
		{name: "no HTTP", err: errors.New(`malformed HTTP response "SECRET"`), class: httpclient.ClassProtocol},
		{name: "deadline", err: context.DeadlineExceeded, class: httpclient.ClassTimeout},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := httpclient.Classify(row.err)
			if got.Class != row.class || !errors.Is(got.Cause, row.cause) || got.IsUnreachable() != row.unreachable {
				t.Errorf("Classify(%v) = %s, cause %v, unreachable %t, want %s, cause %v, unreachable %t",
					row.err, got.Class, got.Cause, got.IsUnreachable(), row.class, row.cause, row.unreachable)
			}
			if got.Text == "" || strings.Contains(got.Text, "SECRET") {
				t.Errorf("text = %q, want one that quotes nothing", got.Text)
			}
		})
	}
}

func TestClassifyUnknownAuthority(t *testing.T) {
	t.Parallel()
	text := func(issuer, subject string) string {
		certificate := &x509.Certificate{RawIssuer: []byte(issuer), RawSubject: []byte(subject)}
		return httpclient.Classify(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{Cert: certificate}}).Text
	}
	if selfSigned, intermediate := text("a", "a"), text("b", "a"); selfSigned == intermediate {
		t.Errorf("text = %q for both, want a self-signed certificate distinguished from a missing intermediate", selfSigned)
	}
}

// TestUntrustedChains asks servers with real chains, none of which is trusted.
func TestUntrustedChains(t *testing.T) { //nolint:tparallel // the rows share a map
	t.Parallel()
	root := issue(t, "Root", nil, "")
	intermediate := issue(t, "Middle", root, "")
	texts := map[string]string{}
	for _, row := range []struct {
		name   string
		chain  []*tls.Certificate
		issuer string // in the text
		advice bool   // to name a private authority
	}{
		{name: "B7 self-signed", chain: []*tls.Certificate{issue(t, "", nil, "")}, advice: true},
		{name: "B7 intermediate missing, of a public authority", chain: []*tls.Certificate{issue(t, "", intermediate, "http://ca.test/middle.crt")}, issuer: "Middle"},
		{name: "B7 intermediate missing, or a private authority", chain: []*tls.Certificate{issue(t, "", intermediate, "")}, issuer: "Middle", advice: true},
		{name: "E19 private authority", chain: []*tls.Certificate{issue(t, "", intermediate, ""), intermediate, root}, issuer: "Root", advice: true},
		{name: "E19 private authority with its root alone", chain: []*tls.Certificate{issue(t, "", root, ""), root}, issuer: "Root", advice: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			served := *row.chain[0]
			served.Certificate = nil
			for _, certificate := range row.chain {
				served.Certificate = append(served.Certificate, certificate.Certificate[0])
			}
			server := httptest.NewUnstartedServer(http.NotFoundHandler())
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.TLS = &tls.Config{Certificates: []tls.Certificate{served}}
			server.StartTLS()
			defer server.Close()
			transport := httpclient.NewTransport(x509.NewCertPool())
			defer transport.CloseIdleConnections()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			_, err = transport.RoundTrip(request)
			if err == nil {
				t.Fatal("RoundTrip() = no error, want one")
			}
			got := httpclient.Classify(err)
			if got.Class != httpclient.ClassTLS || !strings.Contains(got.Text, row.issuer) || strings.Contains(got.Text, "SSL_CERT_FILE") != row.advice {
				t.Errorf("Classify() = %s, %q, want %s, the issuer %q in the text, and SSL_CERT_FILE = %t", got.Class, got.Text, httpclient.ClassTLS, row.issuer, row.advice)
			}
			texts[got.Text] = row.name
		})
	}
	if len(texts) != 4 {
		t.Errorf("texts = %v, want 4: the last two rows are one case", texts)
	}
}

// issue returns a certificate: of an authority if it has a name, and of 127.0.0.1 otherwise. Without an issuer it signs itself.
// place is where the issuer's certificate is.
func issue(t *testing.T, name string, issuer *tls.Certificate, place string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true, IsCA: name != "", KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if name == "" {
		template.Subject.CommonName, template.IPAddresses = "host", []net.IP{net.IPv4(127, 0, 0, 1)}
	} else {
		template.KeyUsage |= x509.KeyUsageCertSign
	}
	if place != "" {
		template.IssuingCertificateURL = []string{place}
	}
	parent, signer := template, any(key)
	if issuer != nil {
		parent, signer = issuer.Leaf, issuer.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestTransport(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept-Encoding"); got != "" {
			t.Errorf("Accept-Encoding = %q, want none", got)
		}
		w.Header().Set("X", strings.Repeat("x", len(r.URL.Query().Get("x"))*httpclient.MaxHeaderBytes))
	}))
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	transport := httpclient.NewTransport(roots)
	t.Cleanup(transport.CloseIdleConnections)
	get := func(query string) error {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+query, http.NoBody)
		if err != nil {
			return err
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			return err
		}
		return response.Body.Close()
	}
	if err := get("/"); err != nil {
		t.Errorf("request = %v, want no error", err)
	}
	if err := get("/?x=x"); err == nil {
		t.Error("a header section over the limit was accepted, want an error")
	}
	if transport.Proxy != nil {
		t.Error("Proxy is set, want none by default")
	}
}
