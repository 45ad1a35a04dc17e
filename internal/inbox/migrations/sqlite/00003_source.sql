-- +goose Up

-- The client IP of the callback; "" when it is not known or there was no callback.
ALTER TABLE callbacks ADD COLUMN source TEXT NOT NULL DEFAULT '';
-- Where the event comes from: a callback, or the reconciler (reconciled).
ALTER TABLE callbacks ADD COLUMN origin TEXT NOT NULL DEFAULT 'callback';

-- +goose Down
ALTER TABLE callbacks DROP COLUMN origin;
ALTER TABLE callbacks DROP COLUMN source;
