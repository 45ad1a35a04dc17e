-- +goose Up

-- What people call the event: the file name of the image that the job processes, and the reference in the callback's URL. "" if
-- unknown, as of all events before this version.
ALTER TABLE callbacks ADD COLUMN input TEXT NOT NULL DEFAULT '';
ALTER TABLE callbacks ADD COLUMN reference TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE callbacks DROP COLUMN reference;
ALTER TABLE callbacks DROP COLUMN input;
