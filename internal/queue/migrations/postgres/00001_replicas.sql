-- +goose Up

-- The heartbeats of the replicas: each updates its row. Jobs of a replica without a heartbeat are reassigned.
CREATE TABLE replicas (
    id      TEXT PRIMARY KEY, -- its name as River's client, as in river_job.attempted_by
    seen_at TIMESTAMPTZ NOT NULL
);

-- +goose Down
DROP TABLE replicas;
