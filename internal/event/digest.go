package event

import "encoding/hex"

// Digest is the SHA-256 of what an event says its result is: result_url and results.
type Digest [32]byte

// String gives the digest as 64 hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }
