-- +goose Up

-- Newly signed URLs of the results, as a JSON array in their order; empty for those of the body.
ALTER TABLE events ADD COLUMN renewed TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE events DROP COLUMN renewed;
