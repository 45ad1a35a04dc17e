-- +goose Up

-- The history of every event. Times are microseconds since 1970, UTC.
CREATE TABLE events (
    id          TEXT    PRIMARY KEY, -- UUID version 7: later events have greater ids
    seq         INTEGER NOT NULL,    -- its number in the inbox, where the body is
    job         TEXT    NOT NULL,
    received_at INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,    -- length of the body
    state       TEXT    NOT NULL
) WITHOUT ROWID;
CREATE INDEX events_job ON events (job);
CREATE INDEX events_state ON events (state, id);

-- One step per handler of an event. Steps of the same position are a stage, whose steps wait
-- for all of the stages before.
CREATE TABLE steps (
    event_id   TEXT    NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    handler    TEXT    NOT NULL,
    position   INTEGER NOT NULL,
    state      TEXT    NOT NULL,
    attempt    INTEGER NOT NULL DEFAULT 0, -- number of the latest attempt; whoever holds a lower one holds nothing
    tries      INTEGER NOT NULL DEFAULT 0, -- attempts that count against the cap
    since      INTEGER NOT NULL,           -- when it became pending, then when its first attempt began, for the cap on age
    next_at    INTEGER,                    -- when it is tried again
    reason     TEXT    NOT NULL DEFAULT '',
    detail     TEXT    NOT NULL DEFAULT '',
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (event_id, handler)
) WITHOUT ROWID;
CREATE INDEX steps_pending ON steps (handler) WHERE state = 'pending';

CREATE TABLE attempts (
    event_id    TEXT    NOT NULL,
    handler     TEXT    NOT NULL,
    attempt     INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,               -- NULL while it runs, or when the process died in it
    outcome     TEXT    NOT NULL,      -- the state in which it left the step
    reason      TEXT    NOT NULL DEFAULT '',
    detail      TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (event_id, handler, attempt),
    FOREIGN KEY (event_id, handler) REFERENCES steps (event_id, handler) ON DELETE CASCADE
) WITHOUT ROWID;

CREATE TABLE artifacts (
    event_id   TEXT    NOT NULL,
    handler    TEXT    NOT NULL,
    position   INTEGER NOT NULL, -- among the event's results, from 0; -1 for the manifest
    source     TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    url        TEXT    NOT NULL,
    bytes      INTEGER NOT NULL,
    sha256     TEXT    NOT NULL,
    media_type TEXT    NOT NULL,
    width      INTEGER NOT NULL,
    height     INTEGER NOT NULL,
    stored_at  INTEGER NOT NULL,
    PRIMARY KEY (event_id, handler, position),
    FOREIGN KEY (event_id, handler) REFERENCES steps (event_id, handler) ON DELETE CASCADE
) WITHOUT ROWID;

-- +goose Down
DROP TABLE artifacts;
DROP TABLE attempts;
DROP TABLE steps;
DROP TABLE events;
