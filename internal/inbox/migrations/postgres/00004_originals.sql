-- +goose Up

-- The body of a request as it came, if the body of its event was decompressed or taken out of a form.
CREATE TABLE originals (
    id               TEXT PRIMARY KEY, -- of the event
    content_encoding TEXT NOT NULL,
    content_type     TEXT NOT NULL,
    body             BYTEA NOT NULL
);

-- +goose Down
DROP TABLE originals;
