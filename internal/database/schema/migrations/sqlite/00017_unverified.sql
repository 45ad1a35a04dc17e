-- +goose Up

-- Length of the body as it came, if the body of the event was decompressed or taken out of a form.
ALTER TABLE events ADD COLUMN original_bytes INTEGER NOT NULL DEFAULT 0;
-- Large bodies of events that are not verified, by their client IP. Usual callbacks do not touch this.
CREATE INDEX events_unverified ON events (source, bytes, original_bytes)
    WHERE verified_at IS NULL AND state NOT IN ('done', 'dead') AND bytes + original_bytes > 65536;

-- +goose Down
DROP INDEX events_unverified;
ALTER TABLE events DROP COLUMN original_bytes;
