package httpclient

import (
	"crypto/tls"
	"fmt"
)

// ClientCertificate is a certificate with its key, both in PEM files. They are read for each connection, so that they can be
// renewed.
type ClientCertificate struct{ CertFile, KeyFile string }

// Check returns an error if the files cannot be used together.
func (c ClientCertificate) Check() error {
	_, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	return err
}

// Use makes connections send the certificate to servers that request one.
func (c ClientCertificate) Use(config *tls.Config) {
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, &clientCertificateError{err}
		}
		return &pair, nil
	}
}

// clientCertificateError means that our own files cannot be used, which is no fault of the server.
type clientCertificateError struct{ err error }

func (e *clientCertificateError) Error() string { return fmt.Sprintf("client certificate: %s", e.err) }

func (e *clientCertificateError) Unwrap() error { return e.err }
