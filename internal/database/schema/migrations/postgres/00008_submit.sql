-- +goose Up

-- SHA-256 that tells the one event apart that the callback with the token brought: that may come again, another may not.
ALTER TABLE expectations ADD COLUMN token_digest BYTEA;
-- A job that was submitted may be registered besides, and one job may be the answer to two submissions.
DROP INDEX expectations_job;
CREATE INDEX expectations_job ON expectations (job) WHERE job IS NOT NULL;
CREATE UNIQUE INDEX expectations_registered ON expectations (job) WHERE origin = 'registered';

-- +goose Down
DROP INDEX expectations_registered;
DROP INDEX expectations_job;
CREATE UNIQUE INDEX expectations_job ON expectations (job) WHERE job IS NOT NULL;
ALTER TABLE expectations DROP COLUMN token_digest;
