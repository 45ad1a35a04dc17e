package event

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/go-json-experiment/json/jsontext"
)

// Digest is the SHA-256 of the result of an event: result_url and results.
//
// It is a stored identity, so its definition never changes: the length of result_url in bytes as a big-endian
// 64-bit number, result_url as UTF-8 (empty if null, "" or missing), and results without white space, with names
// sorted and strings in their shortest form as RFC 8785 says, but with every number as it is written, so that
// different numbers stay different. Results that are null or missing add nothing.
type Digest [sha256.Size]byte

// String returns the digest as 64 lower-case hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// digestOf returns the digest. It fails only for results that are not JSON.
func digestOf(resultURL string, results []byte) (Digest, error) {
	text := make([]byte, 0, 512) // fits a result_url without a heap allocation
	text = binary.BigEndian.AppendUint64(text, uint64(len(resultURL)))
	text = append(text, resultURL...)
	if results == nil {
		return sha256.Sum256(text), nil
	}
	text, err := jsontext.AppendFormat(text, results, jsontext.ReorderRawObjects(true),
		jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false))
	if err != nil {
		return Digest{}, malformed(results, err)
	}
	return sha256.Sum256(text), nil
}
