package work

import (
	"context"
	"database/sql"
	"time"
)

// EndSession keeps in mind, for all replicas, that a session of the dashboard was ended which would have lasted until ends. It is
// forgotten after that time.
func (s *Store) EndSession(ctx context.Context, id string, ends time.Time) error {
	return s.write(ctx, "end session", "", func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM ended_sessions WHERE ends_at <= $1", time.Now().UnixMicro()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO ended_sessions (id, ends_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING", id, ends.UnixMicro())
		return err
	})
}

// SessionEnded says whether a session was ended before its time.
func (s *Store) SessionEnded(ctx context.Context, id string) (ended bool, err error) {
	err = s.database.Reader.QueryRowContext(ctx, "SELECT count(*) > 0 FROM ended_sessions WHERE id = $1", id).Scan(&ended)
	return ended, wrap("session", err)
}
