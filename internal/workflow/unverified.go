package workflow

import (
	"context"
	"net/netip"

	"github.com/deepimage-receiver/receiver/internal/database"
)

// UnverifiedBytes returns the bytes of the bodies of events that are open or quarantined and that the vendor has not confirmed, for
// each client IP.
func (s *Store) UnverifiedBytes(ctx context.Context) (map[netip.Addr]database.SourceBytes, error) {
	return database.SumBySource(ctx, s.writer.DB.Reader, `SELECT source, bytes + original_bytes AS bytes FROM events
		WHERE verified_at IS NULL AND state IN ('pending', 'running', 'retrying', 'quarantined')`)
}
