-- +goose Up

-- Steps that nothing is to be done for: their target wants nothing more, until a person enables it.
CREATE TABLE targets (
    name        TEXT    PRIMARY KEY, -- of the step
    disabled_at INTEGER NOT NULL,
    reason      TEXT    NOT NULL,
    detail      TEXT    NOT NULL
) WITHOUT ROWID;

-- A parked step has no job until its time has come or its target is back: when it was parked.
ALTER TABLE steps ADD COLUMN parked_at INTEGER;
CREATE INDEX steps_parked ON steps (handler, next_at) WHERE parked_at IS NOT NULL;

-- +goose Down
DROP INDEX steps_parked;
ALTER TABLE steps DROP COLUMN parked_at;
DROP TABLE targets;
