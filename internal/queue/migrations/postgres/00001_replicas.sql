-- +goose Up

-- Every running replica says here that it lives. What one that fell silent was working on is given to others.
CREATE TABLE replicas (
    id      TEXT PRIMARY KEY, -- its name as River's client, as in river_job.attempted_by
    seen_at TIMESTAMPTZ NOT NULL
);

-- +goose Down
DROP TABLE replicas;
