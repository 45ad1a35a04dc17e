-- +goose Up

-- The quarantined steps that are verified again by themselves, by their time.
CREATE INDEX steps_recheck ON steps (handler, next_at) WHERE state = 'quarantined' AND next_at IS NOT NULL;

-- +goose Down
DROP INDEX steps_recheck;
