-- +goose Up

-- Newly signed URLs of results, from the newest repeat of each event, until the work store has them.
CREATE TABLE renewals (
    id          TEXT PRIMARY KEY, -- of the event
    job         TEXT NOT NULL,
    urls        TEXT NOT NULL,    -- JSON array, in the order of the results
    received_at BIGINT NOT NULL   -- microseconds since 1970, UTC
);

-- +goose Down
DROP TABLE renewals;
