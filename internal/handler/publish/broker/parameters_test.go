package broker_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
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
	rows := []struct{ query, fault string }{ // fault names the parameter
		{query: ""},
		{query: "text=a&flag=true&choice=two&number=7"},
		{query: "text=a&text=b", fault: "text"},
		{query: "text=", fault: "text"},
		{query: "flag=yes", fault: "flag"},
		{query: "choice=three", fault: "choice"},
		{query: "number=8", fault: "number"},
		{query: "number=x", fault: "number"},
		{query: "other=1&another=2", fault: "another"},
	}
	for _, row := range rows {
		t.Run(row.query, func(t *testing.T) {
			t.Parallel()
			p := parameters(t, row.query)
			text, flag, choice, number := p.Text("text"), p.Flag("flag"), p.Choice("choice", "one", "two"), p.Number("number", 1, 7, 3)
			err := p.Err()
			if row.fault != "" {
				wantFault(t, err, row.fault)
				return
			}
			set := row.query != ""
			if err != nil || (text == "a") != set || flag != set || (choice == "two") != set || (number == 7) != set {
				t.Errorf("values = %q, %t, %q, %d, error = %v, want all set: %t", text, flag, choice, number, err, set)
			}
		})
	}
}

// wantFault fails the test unless err is about this parameter.
func wantFault(t *testing.T, err error, parameter string) {
	t.Helper()
	if fault, ok := errors.AsType[*broker.ParameterError](err); !ok || fault.Name != parameter {
		t.Errorf("error = %v, want one about the parameter %s", err, parameter)
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
		t.Errorf("TLS(false) = %v, want nil", got)
	}
	p := parameters(t, "ca="+cert+"&cert="+cert+"&key="+key)
	got := p.TLS(true)
	if err := p.Err(); err != nil || got.MinVersion != tls.VersionTLS12 || got.RootCAs == nil {
		t.Fatalf("error = %v, minimum version = %x, authorities = %v, want no error, %x, some", err, got.MinVersion, got.RootCAs, tls.VersionTLS12)
	}
	if pair, err := got.GetClientCertificate(nil); err != nil || len(pair.Certificate) != 1 {
		t.Errorf("certificates = %v, error = %v, want 1", pair.Certificate, err)
	}
	rows := []struct {
		name, query, fault string // fault names the parameter
		off                bool
	}{
		{name: "not encrypted", query: "ca=" + cert, fault: "ca", off: true},
		{name: "no file", query: "ca=" + cert + "x", fault: "ca"},
		{name: "no certificate", query: "ca=" + key, fault: "ca"},
		{name: "no key", query: "cert=" + cert, fault: "cert"},
		{name: "no client certificate", query: "key=" + key, fault: "key"},
		{name: "not a pair", query: "cert=" + cert + "&key=" + cert, fault: "cert"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := parameters(t, row.query)
			p.TLS(!row.off)
			wantFault(t, p.Err(), row.fault)
		})
	}
}
