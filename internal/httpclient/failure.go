package httpclient

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"

	"github.com/deepimage-receiver/receiver/internal/sanitize"
)

const maxIssuerBytes = 100 // of a name that is shown

// Class is the stage at which a call failed.
type Class string

// The classes of failures.
const (
	ClassDNS      Class = "dns"      // the name was not resolved
	ClassConnect  Class = "connect"  // no TCP connection
	ClassTLS      Class = "tls"      // the handshake failed or the certificate was refused
	ClassTimeout  Class = "timeout"  // a deadline of the transport passed, at any stage
	ClassBroken   Class = "broken"   // the connection ended before the response did
	ClassProtocol Class = "protocol" // the response is not HTTP
)

// Failure describes an error of an http.Transport. It quotes nothing of a request or a response, only the name of the issuer of a
// certificate.
type Failure struct {
	Class Class
	Text  string // continues a sentence that begins with the host: "refused the connection"
	Cause error  // fixed texts of the system only, safe to show; may be nil

	WantsCertificate bool // the server ended the handshake because of the client's certificate
}

// IsUnreachable reports whether no request was sent because DNS, TCP or TLS failed.
func (f Failure) IsUnreachable() bool {
	return f.Class == ClassDNS || f.Class == ClassConnect || f.Class == ClassTLS
}

// Classify returns what err, of an http.Transport or of reading a body, means.
func Classify(err error) Failure {
	if isTimeout(err) {
		return Failure{Class: ClassTimeout, Text: "did not answer in time"}
	}
	if lookup, ok := errors.AsType[*net.DNSError](err); ok {
		return Failure{Class: ClassDNS, Text: lookupText(lookup)}
	}
	if own, ok := errors.AsType[*clientCertificateError](err); ok {
		return Failure{Class: ClassTLS, Text: "wants a client certificate, but ours cannot be used: " + own.err.Error()}
	}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return Failure{Class: ClassTLS, Text: certificateText(certificate)}
	}
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return Failure{Class: systemClass(err), Text: systemText(number), Cause: number}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return Failure{Class: ClassBroken, Text: "closed the connection too early", Cause: io.ErrUnexpectedEOF}
	}
	return protocolFailure(err)
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

func lookupText(err *net.DNSError) string {
	if err.IsNotFound {
		return "is not known to DNS"
	}
	return "could not be looked up in DNS"
}

func certificateText(failed *tls.CertificateVerificationError) string {
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](failed.Err); ok {
		chain := failed.UnverifiedCertificates
		if len(chain) == 0 && unknown.Cert != nil {
			chain = []*x509.Certificate{unknown.Cert}
		}
		return unknownAuthorityText(chain)
	}
	if _, ok := errors.AsType[x509.HostnameError](failed.Err); ok {
		return "has a certificate for another host"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](failed.Err); ok && invalid.Reason == x509.Expired {
		return "has a certificate that has expired or is not valid yet"
	}
	return "has a certificate that is not valid"
}

// authorityAdvice is for a certificate of an authority that the system does not know.
const authorityAdvice = "SSL_CERT_FILE or SSL_CERT_DIR names the certificates of a private authority"

// unknownAuthorityText distinguishes a chain without its intermediate certificates from one of a private authority. chain is what the
// server sent. A certificate of a public authority names the place of its issuer's certificate, a private one rarely does.
func unknownAuthorityText(chain []*x509.Certificate) string {
	if len(chain) == 0 {
		return "has a certificate of an unknown issuer; " + authorityAdvice
	}
	first, last := chain[0], chain[len(chain)-1]
	issuer := strconv.Quote(sanitize.Line(last.Issuer.CommonName, maxIssuerBytes))
	switch {
	case isSelfIssued(first):
		return "has a self-signed certificate; " + authorityAdvice
	case isSelfIssued(last):
		return "has a certificate of the unknown authority " + issuer + "; " + authorityAdvice
	case len(last.IssuingCertificateURL) > 0:
		return "does not send the intermediate certificate of its issuer " + issuer + ": its operator must add it"
	default:
		return "has a certificate of the unknown issuer " + issuer + "; the server may not send its intermediate certificate, or " + authorityAdvice
	}
}

func isSelfIssued(certificate *x509.Certificate) bool {
	return bytes.Equal(certificate.RawIssuer, certificate.RawSubject)
}

// systemClass distinguishes a connection that was never made from one that broke.
func systemClass(err error) Class {
	if operation, ok := errors.AsType[*net.OpError](err); ok && operation.Op == "dial" {
		return ClassConnect
	}
	return ClassBroken
}

// systemText names the frequent errors of the system. The others keep their own text, which is a fixed one.
func systemText(number syscall.Errno) string {
	switch number {
	case syscall.ECONNREFUSED:
		return "refused the connection"
	case syscall.ECONNRESET, syscall.EPIPE:
		return "broke the connection"
	case syscall.EHOSTUNREACH, syscall.ENETUNREACH:
		return "cannot be reached from here"
	default:
		return "cannot be connected to: " + number.Error()
	}
}

// alertFailure is for a server that ended the handshake. Alerts are compared by their text, because their type is not exported.
// Some versions of TLS have no alert of their own for a certificate that is missing.
func alertFailure(alert error) Failure {
	const badCertificate, unknownAuthority, certificateRequired = tls.AlertError(42), tls.AlertError(48), tls.AlertError(116)
	failed := Failure{Class: ClassTLS, Text: "ended the TLS handshake: " + alert.Error()}
	switch alert.Error() {
	case certificateRequired.Error():
		failed.Text, failed.WantsCertificate = "demands a client certificate", true
	case badCertificate.Error():
		failed.Text, failed.WantsCertificate = "demands a client certificate, or refuses the one that was sent", true
	case unknownAuthority.Error():
		failed.Text, failed.WantsCertificate = "refuses the client certificate, because it does not know its authority", true
	}
	return failed
}

// IsHTTP2Failure reports whether err is of HTTP/2 itself: a stream was reset or the connection broke its rules. A host that does
// not answer in time would not do so by HTTP/1.1 either. The standard library does not export these errors; their texts begin alike.
func IsHTTP2Failure(err error) bool {
	if err == nil || isTimeout(err) {
		return false
	}
	text := err.Error()
	return strings.Contains(text, "stream error: stream ID") || strings.Contains(text, "connection error: ") || strings.Contains(text, "http2: ")
}

// protocolFailure is for a server that does not follow TLS or HTTP. A TLS alert is a number on the wire and
// a fixed text here.
func protocolFailure(err error) Failure {
	if IsHTTP2Failure(err) {
		return Failure{Class: ClassBroken, Text: "broke the HTTP/2 stream"}
	}
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" {
		return alertFailure(alert.Err)
	}
	if text := err.Error(); strings.Contains(text, "tls:") || strings.Contains(text, "HTTPS client") {
		return Failure{Class: ClassTLS, Text: "does not speak TLS"}
	}
	return Failure{Class: ClassProtocol, Text: "does not speak HTTP"}
}
