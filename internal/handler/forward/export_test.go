package forward

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/deepimage-receiver/receiver/internal/handler"
)

// Trust lets h talk to servers with certificates of these authorities.
func (h *Handler) Trust(roots *x509.CertPool) {
	h.transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// Shown is what people see of an answer.
func (h *Handler) Shown(said []byte) string { return h.veil.shown(said, h.redact) }

// SetRefresh gives a handler, before its first attempt, somebody to ask for fresh addresses.
func (h *Handler) SetRefresh(refresh handler.Refresh) { h.refresh = refresh }
