-- +goose Up

-- Sessions of the dashboard that were ended before their time, in microseconds since 1970, when they would have ended by themselves.
CREATE TABLE ended_sessions (
    id      TEXT COLLATE "C" PRIMARY KEY,
    ends_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE ended_sessions;
