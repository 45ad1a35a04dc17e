-- +goose Up

-- Nothing: in Postgres the inbox and the work store are one database. Both kinds of databases have the same versions.
SELECT 1;

-- +goose Down
SELECT 1;
