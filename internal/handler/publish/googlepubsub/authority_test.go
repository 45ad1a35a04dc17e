package googlepubsub_test

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
)

// trustTestServers makes the certificate of httptest the only one that this process
// trusts. It has to come before the first connection with TLS.
func trustTestServers() (cleanUp func(), err error) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	file, err := os.CreateTemp("", "authority-*.pem")
	if err != nil {
		return nil, err
	}
	cleanUp = func() { _ = os.Remove(file.Name()) }
	if err := pem.Encode(file, &pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}); err != nil {
		return cleanUp, err
	}
	return cleanUp, os.Setenv("SSL_CERT_FILE", file.Name())
}
