package httpclient

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
)

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

// Failure describes an error of an http.Transport without quoting what either side sent.
type Failure struct {
	Class Class
	Text  string // continues a sentence that begins with the host: "refused the connection"
	Cause error  // fixed texts of the system only, safe to show; may be nil
}

// IsUnreachable reports whether no request was sent because DNS, TCP or TLS failed.
func (f Failure) IsUnreachable() bool {
	return f.Class == ClassDNS || f.Class == ClassConnect || f.Class == ClassTLS
}

// Classify returns what err, of an http.Transport or of reading a body, means.
func Classify(err error) Failure {
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return Failure{Class: ClassTimeout, Text: "did not answer in time"}
	}
	if lookup, ok := errors.AsType[*net.DNSError](err); ok {
		return Failure{Class: ClassDNS, Text: lookupText(lookup)}
	}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return Failure{Class: ClassTLS, Text: certificateText(certificate.Err)}
	}
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return Failure{Class: systemClass(err), Text: systemText(number), Cause: number}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return Failure{Class: ClassBroken, Text: "closed the connection too early", Cause: io.ErrUnexpectedEOF}
	}
	return protocolFailure(err)
}

func lookupText(err *net.DNSError) string {
	if err.IsNotFound {
		return "is not known to DNS"
	}
	return "could not be looked up in DNS"
}

func certificateText(err error) string {
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return unknownAuthorityText(unknown.Cert)
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "has a certificate for another host"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return "has a certificate that has expired or is not valid yet"
	}
	return "has a certificate that is not valid"
}

func unknownAuthorityText(certificate *x509.Certificate) string {
	if certificate != nil && bytes.Equal(certificate.RawIssuer, certificate.RawSubject) {
		return "has a self-signed certificate"
	}
	return "has a certificate of an unknown issuer; the server may not send its intermediate certificate"
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

// protocolFailure is for a server that does not follow TLS or HTTP. A TLS alert is a number on the wire and
// a fixed text here.
func protocolFailure(err error) Failure {
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" {
		return Failure{Class: ClassTLS, Text: "ended the TLS handshake: " + alert.Err.Error()}
	}
	if text := err.Error(); strings.Contains(text, "tls:") || strings.Contains(text, "HTTPS client") {
		return Failure{Class: ClassTLS, Text: "does not speak TLS"}
	}
	return Failure{Class: ClassProtocol, Text: "does not speak HTTP"}
}
