-- +goose Up

-- When a process last looked at the clock of the database, in microseconds since 1970. By it a later one notices that the clock has
-- jumped, or that no process ran.
CREATE TABLE clock (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    seen_at BIGINT NOT NULL
);

-- +goose Down
DROP TABLE clock;
