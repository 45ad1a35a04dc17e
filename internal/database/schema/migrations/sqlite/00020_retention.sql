-- +goose Up

-- When the body of the event was removed.
ALTER TABLE events ADD COLUMN body_removed_at INTEGER;

-- One row: which process removes what is old, and until when no other does.
CREATE TABLE retention (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    holder      TEXT    NOT NULL,
    lease_until INTEGER NOT NULL
);
INSERT INTO retention (id, holder, lease_until) VALUES (1, '', 0);

-- Stored files that no event has any more, and that are deleted next.
CREATE TABLE removed_files (
    handler    TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    job        TEXT    NOT NULL,
    sha256     TEXT    NOT NULL,
    removed_at INTEGER NOT NULL,
    PRIMARY KEY (handler, key)
) WITHOUT ROWID;

-- Jobs that are being erased, because a person asks for it.
CREATE TABLE erasures (
    job          TEXT    PRIMARY KEY,
    images       INTEGER NOT NULL, -- 1 if the stored files are deleted too
    requested_at INTEGER NOT NULL,
    removed_at   INTEGER           -- when nothing was left; looked at once more, because the relay may have carried an event meanwhile
) WITHOUT ROWID;

-- +goose Down
DROP TABLE erasures;
DROP TABLE removed_files;
DROP TABLE retention;
ALTER TABLE events DROP COLUMN body_removed_at;
