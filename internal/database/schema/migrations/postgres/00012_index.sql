-- +goose Up
ALTER INDEX steps_trouble RENAME TO steps_failure;

-- +goose Down
ALTER INDEX steps_failure RENAME TO steps_trouble;
