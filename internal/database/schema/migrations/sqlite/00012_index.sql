-- +goose Up
DROP INDEX steps_trouble;
CREATE INDEX steps_failure ON steps (handler, event_id, state, reason) WHERE reason <> '';

-- +goose Down
DROP INDEX steps_failure;
CREATE INDEX steps_trouble ON steps (handler, event_id, state, reason) WHERE reason <> '';
