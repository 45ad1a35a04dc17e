package admin

import (
	"context"
	"database/sql"
	"time"

	"github.com/deepimage-receiver/receiver/internal/database"
)

// SessionStore records in the work database which sessions were ended before their time, for all replicas.
type SessionStore struct{ writer *database.Writer }

// NewSessionStore returns a SessionStore that writes with writer.
func NewSessionStore(writer *database.Writer) *SessionStore { return &SessionStore{writer: writer} }

// EndSession records that a session was ended that would have lasted until ends. The record is deleted some time after that.
func (s *SessionStore) EndSession(ctx context.Context, id string, ends time.Time) error {
	return s.writer.Write(ctx, "admin: end session", func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM ended_sessions WHERE ends_at <= $1", time.Now().UnixMicro()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO ended_sessions (id, ends_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING", id, ends.UnixMicro())
		return err
	})
}

// SessionEnded reports whether a session was ended before its time.
func (s *SessionStore) SessionEnded(ctx context.Context, id string) (ended bool, err error) {
	err = s.writer.DB.Reader.QueryRowContext(ctx, "SELECT count(*) > 0 FROM ended_sessions WHERE id = $1", id).Scan(&ended)
	return ended, database.Wrap("admin: session", err)
}
