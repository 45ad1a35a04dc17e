-- +goose Up

-- Lists of one handler: all its steps in the order of their events. What becomes of a step does not touch this.
CREATE INDEX steps_handler ON steps (handler, event_id);
-- Those that run; there are never many.
CREATE INDEX steps_running ON steps (handler, event_id) WHERE state = 'running';
-- The latest change of a step that failed or fails, for whoever follows what happens.
CREATE INDEX steps_changed ON steps (changed_at) WHERE reason <> '';

-- +goose Down
DROP INDEX steps_changed;
DROP INDEX steps_running;
DROP INDEX steps_handler;
