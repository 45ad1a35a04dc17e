-- +goose Up

-- What lists and counts ask for beside the events: the steps that failed or fail, by handler and by reason. Most
-- steps never do, so the indexes are small and a step that succeeds at once does not touch them.
CREATE INDEX steps_trouble ON steps (handler, event_id, state, reason) WHERE reason <> '';
CREATE INDEX steps_reason ON steps (reason, event_id) WHERE reason <> '';

-- +goose Down
DROP INDEX steps_reason;
DROP INDEX steps_trouble;
