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

// A token of a job begins with tokenPrefix, so that other texts cost no look into the store.
const (
	tokenPrefix = "job-"
	tokenLength = len(tokenPrefix) + 26 // of rand.Text, which has at least 128 bits
)

const (
	// maxLooks is how many tokens are looked up at the same time, and lookTimeout how long one may take.
	maxLooks    = 4
	lookTimeout = 2 * time.Second
	// useTimeout is how long a callback waits for the work store.
	useTimeout = time.Second
)

func newToken() string { return tokenPrefix + rand.Text() }

// hashOf needs no salt: nobody can guess what has 128 random bits.
func hashOf(token string) [sha256.Size]byte { return sha256.Sum256([]byte(token)) }

// Known says whether a callback's token was made for a job that was submitted. Anybody can make it look, so only a few
// look at the same time, and not for long.
func (s *Submitter) Known(ctx context.Context, token string) (bool, error) {
	if len(token) != tokenLength || !strings.HasPrefix(token, tokenPrefix) {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	select {
	case s.looks <- struct{}{}:
		defer func() { <-s.looks }()
	case <-ctx.Done():
		return false, fmt.Errorf("submit: token: %w", ctx.Err())
	}
	return s.Store.HasToken(ctx, hashOf(token))
}

// Use uses a known token up for the event that a callback brings. It is false for another job than its own, and when another
// event of that job came with it before; the same event may come again. The work store is not waited for: when it takes no
// write in time, what can be read of the token counts, and when not even that, a known token is good enough, and no callback
// is lost for that. The event carries the hash of the token, so that the work store learns of it together with the event.
func (s *Submitter) Use(ctx context.Context, token string, e *event.Event) bool {
	hash := hashOf(token)
	e.Token = hash[:]
	writing, cancel := context.WithTimeout(ctx, useTimeout)
	defer cancel()
	isGood, err := s.Store.UseToken(writing, hash, e.Job, e.Digest, time.Now().Add(s.After))
	if err == nil && !isGood && e.SignedDigest != e.Digest { // an earlier version may have used it with this digest
		isGood, err = s.Store.UseToken(writing, hash, e.Job, e.SignedDigest, time.Now().Add(s.After))
	}
	if err == nil {
		return isGood
	}
	reading, cancel := context.WithTimeout(ctx, useTimeout)
	defer cancel()
	for _, digest := range []event.Digest{e.Digest, e.SignedDigest} {
		fits, err := s.Store.AcceptsToken(reading, hash, e.Job, digest)
		if err != nil || fits {
			break
		}
		if digest == e.SignedDigest {
			return false
		}
	}
	s.Log.Warn().Err(err).Str("job", e.Job).Msg("the token of a job is used up later; its callback is taken now")
	return true
}
