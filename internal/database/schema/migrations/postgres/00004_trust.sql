-- +goose Up

-- Who told us of the event, "" for nobody, and how we came to know of it.
ALTER TABLE events ADD COLUMN source TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN origin TEXT NOT NULL DEFAULT 'callback';
-- What the vendor itself says where the result is, and when it said so of the job.
ALTER TABLE events ADD COLUMN result_url TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN verified_at BIGINT;
-- SHA-256 of that address without its query: of all events of a job, one is worked on for it.
ALTER TABLE events ADD COLUMN result_key TEXT;
-- When a person last wanted the vendor to be asked again.
ALTER TABLE events ADD COLUMN recheck_at BIGINT;
CREATE UNIQUE INDEX events_result ON events (job, result_key) WHERE result_key IS NOT NULL;

-- Jobs whose callbacks are waited for.
CREATE TABLE expectations (
    id          TEXT COLLATE "C" PRIMARY KEY, -- UUID version 7
    job         TEXT COLLATE "C",    -- NULL while the vendor has not told it
    token_hash  BYTEA,               -- SHA-256 of the token that only the callback of this job may carry
    token_used  BIGINT,              -- when it came
    origin      TEXT    NOT NULL,    -- registered or submitted
    state       TEXT    NOT NULL,    -- submitting, waiting, arrived, reconciled, failed, expired or lost
    created_at  BIGINT  NOT NULL,
    next_at     BIGINT,              -- when the vendor is asked; NULL when it is not
    horizon_at  BIGINT  NOT NULL,    -- when the vendor is asked no more
    polls       INTEGER NOT NULL DEFAULT 0,
    lease_until BIGINT,              -- whoever asks at the moment has it until then
    event_id    TEXT COLLATE "C",
    detail      TEXT    NOT NULL DEFAULT '',
    settled_at  BIGINT
);
CREATE UNIQUE INDEX expectations_job ON expectations (job) WHERE job IS NOT NULL;
CREATE UNIQUE INDEX expectations_token ON expectations (token_hash) WHERE token_hash IS NOT NULL;
CREATE INDEX expectations_next ON expectations (next_at) WHERE next_at IS NOT NULL;

-- +goose Down
DROP TABLE expectations;
DROP INDEX events_result;
ALTER TABLE events DROP COLUMN recheck_at;
ALTER TABLE events DROP COLUMN result_key;
ALTER TABLE events DROP COLUMN verified_at;
ALTER TABLE events DROP COLUMN result_url;
ALTER TABLE events DROP COLUMN origin;
ALTER TABLE events DROP COLUMN source;
