-- +goose Up

-- The list of expectations, by their state.
CREATE INDEX expectations_state ON expectations (state, id);

-- +goose Down
DROP INDEX expectations_state;
