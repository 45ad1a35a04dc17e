package schema_test

import (
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/database/schema"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	databasetest.Prepare()
	goleak.VerifyTestMain(m)
}

func TestMigrateReturnsVersion(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, place *databasetest.Place) {
		version, err := schema.Migrate(t.Context(), place.Open(t).Work)
		if want := schema.Version(); err != nil || version != want {
			t.Errorf("version = %d, error %v, want %d", version, err, want)
		}
	})
}
