package preflight

import (
	"context"

	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// NewResult returns the result of a check for an error.
func NewResult(check, subject, text string, err error) Result {
	return result(check, subject, text, err)
}

// CheckDisk checks the free space at a path.
func CheckDisk(path string, required uint64) Result { return checkDisk(path, required) }

// CheckStore checks a SQLite file.
func CheckStore(ctx context.Context, path string) Result { return checkStore(ctx, path) }

// CheckListenAddress checks a listen address.
func CheckListenAddress(ctx context.Context, address string) Result {
	return checkListenAddress(ctx, address)
}

// CheckHost checks a host pattern.
func CheckHost(ctx context.Context, pattern string) Result { return checkHost(ctx, pattern) }

// CheckFetch checks the way to the hosts of results.
func CheckFetch(ctx context.Context, c fetch.Config) []Result { return checkFetch(ctx, c) }

// CheckPublicURL asks the receiver at a public URL which client IP it sees.
func CheckPublicURL(ctx context.Context, address string, tokens secret.List) []Result {
	return checkPublicURL(ctx, config.Config{PublicURL: address, WebhookTokens: tokens})
}
