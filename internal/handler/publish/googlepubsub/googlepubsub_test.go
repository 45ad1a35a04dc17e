package googlepubsub_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/brokertest"
)

func TestBroker(t *testing.T) {
	t.Parallel()
	brokertest.Run(t, func(t *testing.T) brokertest.Subject {
		t.Helper()
		return subject(brokertest.NewService(t, topics))
	})
}

func TestRestart(t *testing.T) {
	t.Parallel()
	service := brokertest.NewService(t, topics)
	brokertest.SurvivesRestart(t, brokertest.Restart{Subject: subject(service), Stop: service.Stop, Start: service.Start})
}

func TestDownAtStart(t *testing.T) {
	t.Parallel()
	service := brokertest.NewService(t, topics)
	service.Stop(t)
	brokertest.DownAtStart(t, address(service), service.Start)
}

func TestFailures(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name   string
		answer func(*brokertest.Service) http.Handler
		topic  string
		reason event.Reason
		says   string
	}{
		{"no topic", topics, "another", event.ReasonOther, "has no topic projects/my-project/topics/another; create it"},
		{"not permitted", always(http.StatusForbidden, "PERMISSION_DENIED"), "deep-image", event.ReasonAuth, "roles/pubsub.publisher"},
		{"too fast", always(http.StatusTooManyRequests, "RESOURCE_EXHAUSTED"), "deep-image", event.ReasonRateLimited, "slow down"},
		{"broken", always(http.StatusServiceUnavailable, "UNAVAILABLE"), "deep-image", event.ReasonServerError, "UNAVAILABLE: it says"},
		{"moved", always(http.StatusFound, ""), "deep-image", event.ReasonServerError, "status 302"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			service := brokertest.NewService(t, row.answer)
			brokertest.Fails(t, strings.Replace(address(service), "/deep-image", "/"+row.topic, 1), row.reason, row.says)
		})
	}
}
