-- +goose Up

-- A target that its answer disabled is probed: when next, and until when. NULL if a person disabled it.
ALTER TABLE targets ADD COLUMN probe_at BIGINT;
ALTER TABLE targets ADD COLUMN probe_until BIGINT;

-- Handlers that are not configured, and whose steps an operator keeps.
CREATE TABLE kept_handlers (
    name    TEXT COLLATE "C" PRIMARY KEY,
    kept_at BIGINT NOT NULL,
    kept_by TEXT NOT NULL
);

-- When a step was deferred by an outage that concerns it alone; its own job runs it again. The host is one that is not allowed.
ALTER TABLE steps ADD COLUMN outage_at BIGINT;
ALTER TABLE steps ADD COLUMN host TEXT NOT NULL DEFAULT '';
CREATE INDEX steps_outage ON steps (handler, host, next_at) WHERE outage_at IS NOT NULL;

-- +goose Down
DROP INDEX steps_outage;
ALTER TABLE steps DROP COLUMN host;
ALTER TABLE steps DROP COLUMN outage_at;
DROP TABLE kept_handlers;
ALTER TABLE targets DROP COLUMN probe_until;
ALTER TABLE targets DROP COLUMN probe_at;
