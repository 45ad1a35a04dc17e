package forward

import (
	"crypto/x509"

	"github.com/deepimage-receiver/receiver/internal/handler"
)

// Trust sets the certificate authorities of targets.
func (h *Handler) Trust(roots *x509.CertPool) {
	h.transport.TLSClientConfig.RootCAs = roots
}

// ResponseText returns the text of a response that is shown.
func (h *Handler) ResponseText(content []byte) string { return h.redactor.text(content) }

// SetRefresh sets the function that renews URLs. It must be called before the first attempt.
func (h *Handler) SetRefresh(refresh handler.Refresh) { h.refresh = refresh }
