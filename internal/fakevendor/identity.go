package fakevendor

import (
	"crypto/rand"
	"crypto/sha256"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// gregorian is the epoch of version 1 UUIDs, 1582-10-15, in ticks of 100 ns before 1970.
const gregorian = 122_192_928_000_000_000

// identity makes version 1 UUIDs, the kind the vendor uses for jobs: a clock that
// starts at the vendor's start and ticks with every job, and a random node.
type identity struct {
	node [6]byte
	last *atomic.Uint64 // ticks of 100 ns
}

func newIdentity(now time.Time) identity {
	made := identity{last: &atomic.Uint64{}}
	made.last.Store(uint64(now.UnixNano()/100) + gregorian)
	_, _ = rand.Read(made.node[:]) // never fails
	made.node[0] |= 1              // multicast: not the address of any device
	return made
}

func (i identity) next() string {
	ticks := i.last.Add(1)
	var id uuid.UUID
	for position, shift := range []uint{24, 16, 8, 0, 40, 32, 56, 48} {
		id[position] = byte(ticks >> shift)
	}
	id[6] = id[6]&0x0f | 0x10 // version 1
	id[8] = 0x80              // the variant of RFC 9562; the clock sequence is 0
	copy(id[10:], i.node[:])
	return id.String()
}

// fileID names the n-th image of a job: like the vendor's, it is a version 4 UUID
// that says nothing of the job, but here the same job has the same names.
func fileID(jobID string, n int) string {
	sum := sha256.Sum256(append([]byte(jobID), 0, byte(n)))
	id := uuid.UUID(sum[:16])
	id[6] = id[6]&0x0f | 0x40 // version 4
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}
