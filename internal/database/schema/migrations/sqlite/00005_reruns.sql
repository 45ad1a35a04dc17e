-- +goose Up

-- Replays of many events: the one that is under way, and the latest that has ended.
CREATE TABLE reruns (
    id          TEXT    PRIMARY KEY,     -- UUID version 7
    slot        INTEGER UNIQUE,          -- 1 while it is under way, so that there is one at most; NULL afterwards
    filter      TEXT    NOT NULL,        -- which events, as JSON
    cursor      TEXT    NOT NULL,        -- the event it has come to, from the newest on; '' before the first
    events      INTEGER NOT NULL,        -- replayed so far
    steps       INTEGER NOT NULL,
    begun_at    INTEGER NOT NULL,
    holder      TEXT    NOT NULL,        -- whoever works on it; what an earlier one still does is refused
    lease_until INTEGER NOT NULL,        -- the holder has it until then
    finished_at INTEGER,
    failed      INTEGER NOT NULL         -- 1 if it was given up
) WITHOUT ROWID;

-- +goose Down
DROP TABLE reruns;
