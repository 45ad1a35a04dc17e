package submit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// A token of a job begins with tokenPrefix, so that other texts cost no look into the store.
const (
	tokenPrefix = "job-"
	tokenLength = len(tokenPrefix) + 26 // of rand.Text, which has at least 128 bits
)

func newToken() string { return tokenPrefix + rand.Text() }

// hashOf needs no salt: nobody can guess what has 128 random bits.
func hashOf(token string) [sha256.Size]byte { return sha256.Sum256([]byte(token)) }

// Known says whether a callback's token was made for a job that was submitted.
func (s *Submitter) Known(ctx context.Context, token string) (bool, error) {
	if len(token) != tokenLength || !strings.HasPrefix(token, tokenPrefix) {
		return false, nil
	}
	return s.Store.HasToken(ctx, hashOf(token))
}

// Use uses a token up for the event that a callback brings. It is false for another job than its own, and when another
// event of that job came with it before; the same event may come again.
func (s *Submitter) Use(ctx context.Context, token string, e event.Event) (bool, error) {
	return s.Store.UseToken(ctx, hashOf(token), e.Job, e.Digest, time.Now().Add(s.After))
}
