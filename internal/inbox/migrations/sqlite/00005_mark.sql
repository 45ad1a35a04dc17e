-- +goose Up

-- Ties the inbox to the work store of the same receiver, which is in another file; see database.Mark.
CREATE TABLE mark (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    identity TEXT    NOT NULL, -- the same in both files
    relayed  INTEGER NOT NULL  -- highest seq of the events that the work store has had
);

-- +goose Down
DROP TABLE mark;
