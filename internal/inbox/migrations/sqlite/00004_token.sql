-- +goose Up

-- SHA-256 of the token of one job that the callback came with. The work store may have been away just then, so that only the
-- relay can pass on the job of that token.
ALTER TABLE callbacks ADD COLUMN token_hash BLOB;

-- +goose Down
ALTER TABLE callbacks DROP COLUMN token_hash;
