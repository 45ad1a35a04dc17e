package forward_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/handlertest"
	"github.com/rs/zerolog"
)

// writeCertificate writes a client certificate, which signs itself, and its key into a folder.
func writeCertificate(t *testing.T, folder, name string) (certificate *x509.Certificate, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	certificate, err = x509.ParseCertificate(der)
	must(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	certFile, keyFile = filepath.Join(folder, name+".crt"), filepath.Join(folder, name+".key")
	must(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	return certificate, certFile, keyFile
}

func TestTargetThatDemandsAClientCertificate(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		version uint16
		none    bool // no certificate is configured
		other   bool // one that the target does not trust
		gone    bool // the files are deleted later
		want    bool // the event arrives
		advice  bool // the text names the settings
	}{
		{name: "E18 TLS 1.3", version: tls.VersionTLS13, want: true},
		{name: "E18 TLS 1.2", version: tls.VersionTLS12, want: true},
		{name: "E18 no certificate, TLS 1.3", version: tls.VersionTLS13, none: true, advice: true},
		{name: "E18 no certificate, TLS 1.2", version: tls.VersionTLS12, none: true},
		{name: "E18 other certificate", version: tls.VersionTLS13, other: true, advice: true},
		{name: "E18 deleted certificate", version: tls.VersionTLS13, gone: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			trusted, certFile, keyFile := writeCertificate(t, folder, "client")
			if row.other {
				_, certFile, keyFile = writeCertificate(t, folder, "other")
			}
			fx, target := newFixture(t, zerolog.Nop()), &target{}
			target.Server = httptest.NewUnstartedServer(target)
			target.Config.ErrorLog = log.New(io.Discard, "", 0) // it reports the handshakes that fail
			clients := x509.NewCertPool()
			clients.AddCert(trusted)
			target.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients, MinVersion: row.version, MaxVersion: row.version}
			target.StartTLS()
			t.Cleanup(target.Close)
			config := to(target.URL + "/hook")
			if !row.none {
				config.CertFile, config.KeyFile = certFile, keyFile
			}
			h := fx.open(t, config)
			roots := x509.NewCertPool()
			roots.AddCert(target.Certificate())
			h.Trust(roots)
			if row.gone {
				must(t, os.Remove(keyFile))
			}
			e, _ := fx.event(t, fakevendortest.JobOptions{})
			_, err := h.Handle(t.Context(), e)
			for range 20 { // the reset of a connection can overtake the alert that says why
				if failure := handler.Classify(err); row.want || failure == nil || failure.Reason != event.ReasonOther {
					break
				}
				_, err = h.Handle(t.Context(), e)
			}
			if row.want {
				must(t, err)
			} else if failure := handlertest.WantError(t, err, event.ActionRetry, event.ReasonUnreachable); strings.Contains(failure.Error(), "RECEIVER_FORWARD_CERT_FILE") != row.advice {
				t.Errorf("text = %q, want RECEIVER_FORWARD_CERT_FILE in it = %t", failure, row.advice)
			}
		})
	}
}

func TestFilesOfTheClientCertificate(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	_, certFile, keyFile := writeCertificate(t, folder, "one")
	_, _, otherKey := writeCertificate(t, folder, "two")
	for _, row := range []struct {
		name, cert, key string
		ok              bool
	}{
		{name: "E18 both", cert: certFile, key: keyFile, ok: true},
		{name: "E18 none", ok: true},
		{name: "E18 no key", cert: certFile},
		{name: "E18 no certificate", key: keyFile},
		{name: "E18 key of another certificate", cert: certFile, key: otherKey},
		{name: "E18 no such file", cert: folder + "/none", key: keyFile},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			config := to("https://a.example")
			config.CertFile, config.KeyFile = row.cert, row.key
			if err := config.Validate(); (err == nil) != row.ok {
				t.Errorf("Validate() = %v, want ok = %t", err, row.ok)
			}
		})
	}
}
