package forward

import (
	"crypto/tls"
	"crypto/x509"
)

// Trust lets h talk to servers with certificates of these authorities.
func (h *Handler) Trust(roots *x509.CertPool) {
	h.transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}
