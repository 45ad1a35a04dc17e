-- +goose Up

-- The same name as in Postgres, where the work store's events are in the same database.
ALTER TABLE events RENAME TO callbacks;

-- +goose Down
ALTER TABLE callbacks RENAME TO events;
