-- +goose Up

-- Bodies of all sizes are counted now, by the index events_state.
DROP INDEX events_unverified;

-- +goose Down
CREATE INDEX events_unverified ON events (source, bytes, original_bytes)
    WHERE verified_at IS NULL AND state NOT IN ('done', 'dead') AND bytes + original_bytes > 65536;
