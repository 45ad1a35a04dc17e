package admin_test

import (
	"testing"

	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	databasetest.Prepare()
	goleak.VerifyTestMain(m)
}
