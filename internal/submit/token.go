package submit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// A job token begins with tokenPrefix, so that other tokens cost no lookup in the store.
const (
	tokenPrefix = "job-"
	tokenLength = len(tokenPrefix) + 26 // of rand.Text, which has at least 128 random bits
)

const (
	// maxLookups bounds concurrent token lookups, and lookupTimeout each of them: anyone can cause one.
	maxLookups    = 4
	lookupTimeout = 2 * time.Second
	// useTimeout bounds the time that a callback waits for the store.
	useTimeout = time.Second
)

func newToken() string { return tokenPrefix + rand.Text() }

// hashOf needs no salt, because a token has 128 random bits.
func hashOf(token string) [sha256.Size]byte { return sha256.Sum256([]byte(token)) }

// Find reports whether the token of a callback belongs to a submitted job, and whether an event has used it.
func (s *Submitter) Find(ctx context.Context, token string) (known, used bool, err error) {
	if len(token) != tokenLength || !strings.HasPrefix(token, tokenPrefix) {
		return false, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	select {
	case s.lookups <- struct{}{}:
		defer func() { <-s.lookups }()
	case <-ctx.Done():
		return false, false, fmt.Errorf("submit: token: %w", ctx.Err())
	}
	return s.Store.FindToken(ctx, hashOf(token))
}

// Use marks a known token as used by the event of a callback. It returns false if the token belongs to another job, or if
// another event of the job used it before; the same event may use it again.
//
// A slow store does not delay the callback. If it accepts no write in time, its reads decide; if it answers no read either,
// a known token is accepted, so that no callback gets lost. The event carries the hash of the token, and the store marks
// the token as used when the event arrives there.
func (s *Submitter) Use(ctx context.Context, token string, e *event.Event) bool {
	hash := hashOf(token)
	e.Token = hash[:]
	writing, cancel := context.WithTimeout(ctx, useTimeout)
	defer cancel()
	accepted, err := s.Store.UseToken(writing, hash, e.Job, e.Digest, s.Store.Now().Add(s.After))
	if err == nil && !accepted && e.SignedDigest != e.Digest { // an earlier version may have used it with this digest
		accepted, err = s.Store.UseToken(writing, hash, e.Job, e.SignedDigest, s.Store.Now().Add(s.After))
	}
	if err == nil {
		return accepted
	}
	reading, cancel := context.WithTimeout(ctx, useTimeout)
	defer cancel()
	for _, digest := range []event.Digest{e.Digest, e.SignedDigest} {
		accepts, err := s.Store.AcceptsToken(reading, hash, e.Job, digest)
		if err != nil || accepts {
			break
		}
		if digest == e.SignedDigest {
			return false
		}
	}
	s.Log.Warn().Err(err).Str("job", e.Job).Msg("marking a job token as used failed, callback accepted")
	return true
}
