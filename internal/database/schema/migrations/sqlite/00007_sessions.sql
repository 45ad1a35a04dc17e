-- +goose Up

-- Sessions of the dashboard that were ended before their time, in microseconds since 1970, when they would have ended by themselves.
CREATE TABLE ended_sessions (
    id      TEXT    PRIMARY KEY,
    ends_at INTEGER NOT NULL
) WITHOUT ROWID;

-- +goose Down
DROP TABLE ended_sessions;
