-- +goose Up

-- How many attempts in a row have ended with their process, which process began the latest one, and whether a crash during it counts,
-- because nothing else ran.
ALTER TABLE steps ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE steps ADD COLUMN runner TEXT NOT NULL DEFAULT '';
ALTER TABLE steps ADD COLUMN alone INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE steps DROP COLUMN alone;
ALTER TABLE steps DROP COLUMN runner;
ALTER TABLE steps DROP COLUMN crashes;
