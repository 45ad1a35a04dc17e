package broker_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
)

func parameters(t *testing.T, query string) *broker.Parameters {
	t.Helper()
	address, err := broker.ParseAddress("x://h?" + query)
	if err != nil {
		t.Fatal(err)
	}
	return address.Parameters
}

func TestParameters(t *testing.T) {
	t.Parallel()
	rows := []struct{ query, fault string }{
		{"", ""},
		{"text=a&flag=true&choice=two&number=7", ""},
		{"text=a&text=b", "has the parameter text, which is there twice"},
		{"text=", "has the parameter text, which is empty"},
		{"flag=yes", "has the parameter flag, which is none of false, true"},
		{"choice=three", "has the parameter choice, which is none of one, two"},
		{"number=8", "has the parameter number, which is not a number from 1 to 7"},
		{"number=x", "has the parameter number, which is not a number from 1 to 7"},
		{"other=1&another=2", "has a parameter another that is not known here; there are text, flag, choice, number"},
	}
	for _, row := range rows {
		t.Run(row.query, func(t *testing.T) {
			t.Parallel()
			p := parameters(t, row.query)
			text, flag, choice, number := p.Text("text"), p.Flag("flag"), p.Choice("choice", "one", "two"), p.Number("number", 1, 7, 3)
			err := p.Err()
			if row.fault != "" {
				if err == nil || err.Error() != row.fault {
					t.Errorf("got %v", err)
				}
				return
			}
			set := row.query != ""
			if err != nil || (text == "a") != set || flag != set || (choice == "two") != set || (number == 7) != set {
				t.Errorf("%v: %q %t %q %d", err, text, flag, choice, number)
			}
		})
	}
}

// certificate writes the certificate of httptest and its key.
func certificate(t *testing.T) (certificate, key string) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	der, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, content []byte) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return write("cert.pem", "CERTIFICATE", server.Certificate().Raw), write("key.pem", "PRIVATE KEY", der)
}

func TestTLS(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t)
	if got := parameters(t, "").TLS(false); got != nil {
		t.Error("without TLS there are settings of it")
	}
	p := parameters(t, "ca="+cert+"&cert="+cert+"&key="+key)
	got := p.TLS(true)
	if err := p.Err(); err != nil || got.MinVersion != tls.VersionTLS12 || got.RootCAs == nil {
		t.Fatalf("%v, %+v", err, got)
	}
	if pair, err := got.GetClientCertificate(nil); err != nil || len(pair.Certificate) != 1 {
		t.Errorf("%v, %v", pair, err)
	}
	rows := []struct {
		name, query, says string
		on                bool
	}{
		{"not encrypted", "ca=" + cert, "ca, which needs a connection with TLS", false},
		{"no file", "ca=" + cert + "x", "ca, which names a file that cannot be read", true},
		{"no certificate", "ca=" + key, "ca, which names a file without a certificate", true},
		{"no key", "cert=" + cert, "cert, which needs the parameter key too", true},
		{"no certificate of our own", "key=" + key, "key, which needs the parameter cert too", true},
		{"not a pair", "cert=" + cert + "&key=" + cert, "cert, which cannot be used together with key", true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := parameters(t, row.query)
			p.TLS(row.on)
			if err := p.Err(); err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("got %v", err)
			}
		})
	}
}
