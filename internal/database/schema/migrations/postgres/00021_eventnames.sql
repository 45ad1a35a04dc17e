-- +goose Up

-- What people call events and jobs; see the same columns of the inbox.
ALTER TABLE events ADD COLUMN input TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN reference TEXT NOT NULL DEFAULT '';
ALTER TABLE tracked_jobs ADD COLUMN input TEXT NOT NULL DEFAULT '';
ALTER TABLE tracked_jobs ADD COLUMN reference TEXT NOT NULL DEFAULT '';

-- The words of input and reference, in lower case, for the search by their beginnings.
CREATE TABLE event_words (
    event_id TEXT COLLATE "C" NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    word     TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (event_id, word)
);
CREATE INDEX event_words_word ON event_words (word, event_id);

-- +goose Down
DROP TABLE event_words;
ALTER TABLE tracked_jobs DROP COLUMN reference;
ALTER TABLE tracked_jobs DROP COLUMN input;
ALTER TABLE events DROP COLUMN reference;
ALTER TABLE events DROP COLUMN input;
