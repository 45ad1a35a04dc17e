-- +goose Up

-- Earlier versions looked for the jobs of dead replicas in a periodic job. One may be left, which no worker knows.
-- +goose StatementBegin
DO $$
BEGIN
    IF to_regclass('river_job') IS NOT NULL THEN
        DELETE FROM river_job WHERE kind = 'rescue';
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose Down
SELECT 1;
