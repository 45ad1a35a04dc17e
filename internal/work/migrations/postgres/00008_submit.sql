-- +goose Up

-- SHA-256 that tells the one event apart that the callback with the token brought: that may come again, another may not.
ALTER TABLE expectations ADD COLUMN token_digest BYTEA;

-- +goose Down
ALTER TABLE expectations DROP COLUMN token_digest;
