package workflow

import (
	"context"
	"net/netip"

	"github.com/deepimage-receiver/receiver/internal/database"
)

// UnverifiedBytes returns the bytes of the large bodies, more than memory.SmallBytes each, of events that are open or quarantined and
// that the vendor has not confirmed, for each client IP. The index events_unverified has the same condition.
func (s *Store) UnverifiedBytes(ctx context.Context) (map[netip.Addr]int64, error) {
	return database.SumBySource(ctx, s.writer.DB.Reader, `SELECT source, CAST(sum(bytes + original_bytes) AS BIGINT) FROM events
		WHERE verified_at IS NULL AND state NOT IN ('done', 'dead') AND bytes + original_bytes > 65536 GROUP BY source`)
}
