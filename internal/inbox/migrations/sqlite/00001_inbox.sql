-- +goose Up

-- One row per event, with its body byte for byte. Rows are only added.
CREATE TABLE events (
    seq         INTEGER PRIMARY KEY, -- assigned by the one writer, in the order of commits
    id          TEXT    NOT NULL,    -- UUID version 7
    job         TEXT    NOT NULL,
    digest      BLOB    NOT NULL,    -- SHA-256, 32 bytes
    received_at INTEGER NOT NULL,    -- microseconds since 1970, UTC
    body        BLOB    NOT NULL,
    UNIQUE (job, digest)
);

-- What the relay has not carried into the work store yet. A table of its own, so
-- that neither accepting nor relaying ever rewrites a row that holds a body.
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY
);

-- Bodies of authenticated requests that are not events. The oldest are deleted at the limits;
-- seq never restarts, so its highest value is the number of all rejections.
CREATE TABLE rejections (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    received_at INTEGER NOT NULL,
    code        TEXT    NOT NULL,
    detail      TEXT    NOT NULL,
    body        BLOB    NOT NULL
);

-- One row that readiness writes to prove that the store takes writes.
CREATE TABLE probe (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    written_at INTEGER NOT NULL
);

-- +goose Down
DROP TABLE probe;
DROP TABLE rejections;
DROP TABLE outbox;
DROP TABLE events;
