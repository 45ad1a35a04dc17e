-- +goose Up

-- Lists of one handler: all its steps in the order of their events.
CREATE INDEX steps_handler ON steps (handler, event_id);
-- Those that wait for a worker, in that order too.
DROP INDEX steps_pending;
CREATE INDEX steps_pending ON steps (handler, event_id) WHERE state = 'pending';
-- Those that run; there are never many.
CREATE INDEX steps_running ON steps (handler, event_id) WHERE state = 'running';
-- The latest change of a step that failed or fails, for whoever follows what happens.
CREATE INDEX steps_changed ON steps (changed_at) WHERE reason <> '';

-- +goose Down
DROP INDEX steps_changed;
DROP INDEX steps_running;
DROP INDEX steps_pending;
CREATE INDEX steps_pending ON steps (handler) WHERE state = 'pending';
DROP INDEX steps_handler;
