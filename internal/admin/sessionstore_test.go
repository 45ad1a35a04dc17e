package admin_test

import (
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/database/schema"
)

// A session that was ended stays so in every process, and is forgotten when it would have ended anyway.
func TestEndedSessions(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		db := place.Open(t).Work
		if _, err := schema.Migrate(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		writer := database.NewWriter(db)
		defer func() { _ = writer.Close() }()
		s := admin.NewSessionStore(writer)
		for id, ends := range map[string]time.Time{"a": time.Now().Add(-time.Second), "b": time.Now().Add(time.Hour)} {
			if err := s.EndSession(t.Context(), id, ends); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // to log out twice changes nothing
			if err := s.EndSession(t.Context(), "c", time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		for id, want := range map[string]bool{"a": false, "b": true, "c": true, "d": false} {
			if ended, err := s.SessionEnded(t.Context(), id); err != nil || ended != want {
				t.Errorf("%s: ended = %t, error %v; want %t", id, ended, err, want)
			}
		}
	})
}
