-- +goose Up

-- Tables, columns and indexes get the names that the code uses. Rows stay as they are.
ALTER TABLE steps RENAME COLUMN parked_at TO deferred_at;
ALTER INDEX steps_parked RENAME TO steps_deferred;

ALTER TABLE expectations DROP COLUMN token_used;
ALTER TABLE expectations RENAME COLUMN settled_at TO resolved_at;
ALTER TABLE expectations RENAME TO tracked_jobs;
ALTER INDEX expectations_pkey RENAME TO tracked_jobs_pkey;
ALTER INDEX expectations_job RENAME TO tracked_jobs_job;
ALTER INDEX expectations_token RENAME TO tracked_jobs_token;
ALTER INDEX expectations_next RENAME TO tracked_jobs_next;
ALTER INDEX expectations_state RENAME TO tracked_jobs_state;
ALTER INDEX expectations_registered RENAME TO tracked_jobs_registered;

ALTER TABLE reruns RENAME TO bulk_replays;
ALTER INDEX reruns_pkey RENAME TO bulk_replays_pkey;
ALTER INDEX reruns_slot_key RENAME TO bulk_replays_slot_key;

-- +goose Down
ALTER INDEX bulk_replays_slot_key RENAME TO reruns_slot_key;
ALTER INDEX bulk_replays_pkey RENAME TO reruns_pkey;
ALTER TABLE bulk_replays RENAME TO reruns;

ALTER INDEX tracked_jobs_registered RENAME TO expectations_registered;
ALTER INDEX tracked_jobs_state RENAME TO expectations_state;
ALTER INDEX tracked_jobs_next RENAME TO expectations_next;
ALTER INDEX tracked_jobs_token RENAME TO expectations_token;
ALTER INDEX tracked_jobs_job RENAME TO expectations_job;
ALTER INDEX tracked_jobs_pkey RENAME TO expectations_pkey;
ALTER TABLE tracked_jobs RENAME TO expectations;
ALTER TABLE expectations RENAME COLUMN resolved_at TO settled_at;
ALTER TABLE expectations ADD COLUMN token_used BIGINT;

ALTER INDEX steps_deferred RENAME TO steps_parked;
ALTER TABLE steps RENAME COLUMN deferred_at TO parked_at;
