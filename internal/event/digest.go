package event

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
)

// Digest is the SHA-256 of the result of an event: result_url and results.
//
// It is a stored identity, so its definition never changes: the length of result_url in bytes as a big-endian
// 64-bit number, result_url as UTF-8 (empty if null, "" or missing), and results without white space, with names
// sorted and strings in their shortest form as RFC 8785 says, but with every number as it is written, so that
// different numbers stay different. Results that are null or missing add nothing.
//
// Event.Digest is made of URLs without the parameters of their signature, see withoutSignature; Event.SignedDigest,
// which is what events of the first versions were stored with, is made of the URLs as they are.
type Digest [sha256.Size]byte

// String returns the digest as 64 lower-case hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// setDigests sets both digests. results are sorted; the zero tree stands for none.
func (e *Event) setDigests(results tree) {
	e.SignedDigest = digestOf(e.ResultURL, results, nil)
	e.Digest = e.SignedDigest
	if strings.Contains(e.ResultURL, "?") || bytes.Contains(e.Results, []byte("?")) || bytes.Contains(e.Results, []byte(`\u`)) { // a query
		e.Digest = digestOf(withoutSignature(e.ResultURL), results, withoutSignature)
	}
}

// digestOf returns the digest. plain changes strings, unless it is nil.
func digestOf(resultURL string, results tree, plain func(string) string) Digest {
	text := make([]byte, 0, 512) // fits a result_url without a heap allocation
	text = binary.BigEndian.AppendUint64(text, uint64(len(resultURL)))
	text = append(text, resultURL...)
	if results.text == nil {
		return sha256.Sum256(text)
	}
	hash := sha256.New()
	c := &canonical{tree: results, to: hash, plain: plain}
	c.write(text)
	c.node(results.root)
	return Digest(hash.Sum(nil))
}

// withoutSignature removes the parameters of a signature from an http or https URL, as S3, Google Cloud Storage, Azure Blob
// Storage and CloudFront sign URLs. Other parameters, and URLs without a whole signature, stay as they are.
func withoutSignature(address string) string {
	base, rest, found := strings.Cut(address, "?")
	if !found || !isAddress(address) {
		return address
	}
	query, fragment, hasFragment := strings.Cut(rest, "#")
	parameters := strings.Split(query, "&")
	signature := signatureOf(parameters)
	if signature == nil {
		return address
	}
	parameters = slices.DeleteFunc(parameters, func(p string) bool { return slices.Contains(signature, parameterName(p)) })
	if len(parameters) > 0 {
		base += "?" + strings.Join(parameters, "&")
	}
	if hasFragment {
		base += "#" + fragment
	}
	return base
}

// signatureOf returns the lower-case names of the parameters that belong to the signature of a URL; nil without a signature.
func signatureOf(parameters []string) []string {
	has := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(name string) bool {
			return !slices.ContainsFunc(parameters, func(p string) bool { return parameterName(p) == name })
		})
	}
	switch {
	case has("x-amz-signature"): // S3, version 4
		return []string{
			"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires", "x-amz-signedheaders", "x-amz-signature",
			"x-amz-security-token", "x-amz-content-sha256",
		}
	case has("x-goog-signature"): // Google Cloud Storage, version 4
		return []string{"x-goog-algorithm", "x-goog-credential", "x-goog-date", "x-goog-expires", "x-goog-signedheaders", "x-goog-signature"}
	case has("awsaccesskeyid", "signature"): // S3, version 2
		return []string{"awsaccesskeyid", "signature", "expires", "x-amz-security-token"}
	case has("googleaccessid", "signature"): // Google Cloud Storage, version 2
		return []string{"googleaccessid", "signature", "expires"}
	case has("key-pair-id", "signature"): // CloudFront
		return []string{"key-pair-id", "signature", "expires", "policy", "hash-algorithm"}
	case has("sig", "sv"): // Azure
		return []string{
			"sig", "sv", "ss", "srt", "sr", "sp", "st", "se", "spr", "sip", "si", "sdd", "ses", "skoid", "sktid", "skt", "ske", "sks", "skv",
			"saoid", "suoid", "scid",
		}
	default:
		return nil
	}
}

// parameterName returns the name of a parameter in lower case, without percent signs.
func parameterName(parameter string) string {
	name, _, _ := strings.Cut(parameter, "=")
	if plain, err := url.QueryUnescape(name); err == nil {
		name = plain
	}
	return strings.ToLower(name)
}
