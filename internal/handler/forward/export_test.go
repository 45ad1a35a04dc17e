package forward

import (
	"crypto/tls"
	"crypto/x509"
)

// Trust lets h talk to servers with certificates of these authorities.
func (h *Handler) Trust(roots *x509.CertPool) {
	h.transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// Shown is what people see of an answer.
func (h *Handler) Shown(said []byte) string { return h.veil.shown(said, h.redact) }
