-- +goose Up

-- Replays of many events: the one that is under way, and the latest that has ended.
CREATE TABLE reruns (
    id          TEXT COLLATE "C" PRIMARY KEY, -- UUID version 7
    slot        INTEGER UNIQUE,               -- 1 while it is under way, so that there is one at most; NULL afterwards
    filter      TEXT    NOT NULL,             -- which events, as JSON
    cursor      TEXT COLLATE "C" NOT NULL,    -- the event it has come to, from the newest on; '' before the first
    events      BIGINT  NOT NULL,             -- replayed so far
    steps       BIGINT  NOT NULL,
    begun_at    BIGINT  NOT NULL,
    holder      TEXT    NOT NULL,             -- whoever works on it; what an earlier one still does is refused
    lease_until BIGINT  NOT NULL,             -- the holder has it until then
    finished_at BIGINT,
    failed      INTEGER NOT NULL              -- 1 if it was given up
);

-- +goose Down
DROP TABLE reruns;
