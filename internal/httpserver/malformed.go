package httpserver

import (
	"bytes"
	"net/netip"
	"sync"
)

// Reasons why net/http refuses a request before it reaches a handler, and labels of a metric.
const (
	malformedTLS      = "tls"             // TLS on a port without it
	malformedProxy    = "proxy_protocol"  // a header of the PROXY protocol
	malformedHost     = "host"            // no Host header, or a malformed one
	malformedHeaders  = "header_section"  // over the limit of net/http
	malformedTransfer = "transfer_coding" // unknown Transfer-Encoding
	malformedSilence  = "no_request"      // no complete header section before the connection closed
	malformedOther    = "syntax"
)

// received finds requests on a connection that net/http refuses by itself. These leave no other trace.
type received struct {
	mutex    sync.Mutex
	first    [16]byte // beginning of the connection
	length   int      // bytes of first
	answered bool     // something was sent
}

// onRead records the first bytes of a connection.
func (r *received) onRead(p []byte) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.length < len(r.first) {
		r.length += copy(r.first[r.length:], p)
	}
}

// onWrite returns the reason of a refusal if p begins one of net/http. Responses of handlers have an X-Request-Id.
func (r *received) onWrite(p []byte) string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	isFirst := !r.answered
	r.answered = true
	header, text, _ := bytes.Cut(p, []byte("\r\n\r\n"))
	if !bytes.HasPrefix(p, []byte("HTTP/1.1 ")) || bytes.Contains(header, []byte("X-Request-Id:")) || !bytes.Contains(header, []byte("\r\nConnection: close")) {
		return ""
	}
	if reason := r.protocol(); isFirst && reason != "" {
		return reason
	}
	switch {
	case bytes.HasPrefix(text, []byte("431 ")):
		return malformedHeaders
	case bytes.HasPrefix(text, []byte("501 ")), bytes.Contains(text, []byte("ransfer")):
		return malformedTransfer
	case bytes.Contains(text, []byte("Host")):
		return malformedHost
	default:
		return malformedOther
	}
}

// onClose returns the reason if the connection received something and sent nothing.
func (r *received) onClose() string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.answered || r.length == 0 {
		return ""
	}
	r.answered = true // Close may be called again
	if reason := r.protocol(); reason != "" {
		return reason
	}
	return malformedSilence
}

// protocol returns the reason if the connection begins with another protocol. The mutex is held.
func (r *received) protocol() string {
	first := r.first[:r.length]
	switch {
	case bytes.HasPrefix(first, []byte("\x16\x03")):
		return malformedTLS
	case bytes.HasPrefix(first, []byte("PROXY ")), bytes.HasPrefix(first, []byte("\r\n\r\n\x00\r\nQUIT\n")):
		return malformedProxy
	default:
		return ""
	}
}

// logMalformed counts and logs a request that net/http refused.
func (s *Server) logMalformed(reason string, from netip.Addr) {
	s.metrics.malformed.WithLabelValues(reason).Inc()
	if ok, dropped := s.malformedLog.allow(); ok {
		s.log.Info().Str("reason", reason).Str("remote", clientIPText(from)).Int("dropped_lines", dropped).Msg("malformed request refused")
	}
}

// logClosed counts and logs a connection that was closed because of the limit.
func (s *Server) logClosed(reason string) {
	s.metrics.closed.WithLabelValues(reason).Inc()
	if ok, dropped := s.closedLog.allow(); ok {
		s.log.Warn().Str("reason", reason).Int("limit", s.config.MaxConnections).Int("dropped_lines", dropped).
			Msg("connection closed at the limit of connections")
	}
}
