-- +goose Up

-- When the event was removed: its row stays for a while, without its body, so that a repeat is still a duplicate.
ALTER TABLE callbacks ADD COLUMN removed_at BIGINT;
-- What is deleted in the end, by its age. Accepting an event does not touch this.
CREATE INDEX callbacks_removed ON callbacks (removed_at) WHERE removed_at IS NOT NULL;

-- +goose Down
DROP INDEX callbacks_removed;
ALTER TABLE callbacks DROP COLUMN removed_at;
