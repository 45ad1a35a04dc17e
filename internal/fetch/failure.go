package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
)

// failure turns what the transport said about host into our words. The transport's
// own error goes no further: it can quote what a server sent, and that can be our
// query. ctx is that of the attempt, whose cause tells a stall from the caller's end.
func failure(ctx context.Context, host string, err error) *Error {
	if ctx.Err() != nil {
		return interruption(ctx, host)
	}
	if blocked, ok := errors.AsType[*blockedError](err); ok {
		return failf(KindBlockedAddress, "the host %s leads to the address %s, which is not a public one", host, blocked.addr)
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return brokenf(KindTimeout, nil, "the host %s did not answer in time", host)
	}
	complaint, cause := explain(err)
	return brokenf(KindNetwork, cause, "the host %s %s", host, complaint)
}

// interruption says why an attempt's context ended.
func interruption(ctx context.Context, host string) *Error {
	switch {
	case errors.Is(context.Cause(ctx), errStalled):
		return brokenf(KindTimeout, nil, "the host %s stopped sending", host)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return wrapf(KindTimeout, ctx.Err(), "the time was over before the host %s had sent everything", host)
	default:
		return wrapf(KindCancelled, ctx.Err(), "the transfer from the host %s was called off", host)
	}
}

// Explain says what a host did when a call to it failed with an error of an
// http.Transport: it goes on from the host's name to a sentence, and quotes nothing that
// either side sent.
func Explain(err error) string {
	complaint, _ := explain(err)
	return complaint
}

// explain says what the host did, and gives what of an error may be passed on.
func explain(err error) (complaint string, cause error) {
	if lookup, ok := errors.AsType[*net.DNSError](err); ok {
		return explainLookup(lookup), nil
	}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return explainCertificate(certificate.Err), nil
	}
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return explainNumber(number), number
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "closed the connection too early", io.ErrUnexpectedEOF
	}
	return explainProtocol(err), nil
}

func explainLookup(err *net.DNSError) string {
	if err.IsNotFound {
		return "is not known to DNS"
	}
	return "could not be looked up in DNS"
}

func explainCertificate(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "has a certificate that is signed by an unknown authority"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "has a certificate for another host"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return "has a certificate that has expired or is not valid yet"
	}
	return "has a certificate that is not valid"
}

// explainNumber names the errors of the system that are often seen. The others
// keep their own text, which is a fixed one.
func explainNumber(number syscall.Errno) string {
	switch number {
	case syscall.ECONNREFUSED:
		return "refused the connection"
	case syscall.ECONNRESET, syscall.EPIPE:
		return "broke the connection"
	case syscall.EHOSTUNREACH, syscall.ENETUNREACH:
		return "cannot be reached from here"
	default:
		return "could not be talked to: " + number.Error()
	}
}

// explainProtocol is for a peer that does not speak as it should. What it said is
// not repeated; an alert is a number on the wire and a fixed text here.
func explainProtocol(err error) string {
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" {
		return "ended the TLS handshake: " + alert.Err.Error()
	}
	if text := err.Error(); strings.Contains(text, "tls:") || strings.Contains(text, "HTTPS client") {
		return "does not speak TLS as it should"
	}
	return "does not speak HTTP as it should"
}
