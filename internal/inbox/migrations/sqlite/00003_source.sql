-- +goose Up

-- Who told us of the event: an address, "" when that is not known or was nobody.
ALTER TABLE callbacks ADD COLUMN source TEXT NOT NULL DEFAULT '';
-- How we came to know of it: callback, or reconciled when none came and we asked.
ALTER TABLE callbacks ADD COLUMN origin TEXT NOT NULL DEFAULT 'callback';

-- +goose Down
ALTER TABLE callbacks DROP COLUMN origin;
ALTER TABLE callbacks DROP COLUMN source;
