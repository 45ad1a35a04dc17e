package event

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/go-json-experiment/json/jsontext"
)

// Digest is the SHA-256 of what an event says its result is: result_url and results.
//
// It is a stored identity, so the way it is made never changes: the length of
// result_url in bytes as a big-endian 64-bit number, result_url as UTF-8 (empty
// when null, "" or missing), and results without white space, with names sorted
// and strings in their shortest form as RFC 8785 says, but with every number as
// it is written, so that no two different numbers become one. Results that are
// null or missing add nothing.
type Digest [sha256.Size]byte

// String gives the digest as 64 lower-case hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// digestOf makes the digest. It fails only for results that are not JSON.
func digestOf(resultURL string, results []byte) (Digest, error) {
	text := make([]byte, 0, 512) // holds a result_url and no results without a look at the heap
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
