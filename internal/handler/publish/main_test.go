package publish_test

import (
	"testing"

	"github.com/deepimage-receiver/receiver/internal/handler/handlertest"
)

func TestMain(m *testing.M) { handlertest.Main(m) }
