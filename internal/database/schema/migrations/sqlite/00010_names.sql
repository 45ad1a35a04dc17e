-- +goose Up

-- Tables, columns and indexes get the names that the code uses. Rows stay as they are.
DROP INDEX steps_parked;
ALTER TABLE steps RENAME COLUMN parked_at TO deferred_at;
CREATE INDEX steps_deferred ON steps (handler, next_at) WHERE deferred_at IS NOT NULL;

DROP INDEX expectations_job;
DROP INDEX expectations_token;
DROP INDEX expectations_next;
DROP INDEX expectations_state;
DROP INDEX expectations_registered;
ALTER TABLE expectations DROP COLUMN token_used;
ALTER TABLE expectations RENAME COLUMN settled_at TO resolved_at;
ALTER TABLE expectations RENAME TO tracked_jobs;
CREATE INDEX tracked_jobs_job ON tracked_jobs (job) WHERE job IS NOT NULL;
CREATE UNIQUE INDEX tracked_jobs_token ON tracked_jobs (token_hash) WHERE token_hash IS NOT NULL;
CREATE INDEX tracked_jobs_next ON tracked_jobs (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX tracked_jobs_state ON tracked_jobs (state, id);
CREATE UNIQUE INDEX tracked_jobs_registered ON tracked_jobs (job) WHERE origin = 'registered';

ALTER TABLE reruns RENAME TO bulk_replays;

-- +goose Down
ALTER TABLE bulk_replays RENAME TO reruns;

DROP INDEX tracked_jobs_job;
DROP INDEX tracked_jobs_token;
DROP INDEX tracked_jobs_next;
DROP INDEX tracked_jobs_state;
DROP INDEX tracked_jobs_registered;
ALTER TABLE tracked_jobs RENAME TO expectations;
ALTER TABLE expectations RENAME COLUMN resolved_at TO settled_at;
ALTER TABLE expectations ADD COLUMN token_used INTEGER;
CREATE INDEX expectations_job ON expectations (job) WHERE job IS NOT NULL;
CREATE UNIQUE INDEX expectations_token ON expectations (token_hash) WHERE token_hash IS NOT NULL;
CREATE INDEX expectations_next ON expectations (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX expectations_state ON expectations (state, id);
CREATE UNIQUE INDEX expectations_registered ON expectations (job) WHERE origin = 'registered';

DROP INDEX steps_deferred;
ALTER TABLE steps RENAME COLUMN deferred_at TO parked_at;
CREATE INDEX steps_parked ON steps (handler, next_at) WHERE parked_at IS NOT NULL;
