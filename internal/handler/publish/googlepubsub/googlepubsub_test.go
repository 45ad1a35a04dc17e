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
		name    string
		service func(*brokertest.Service) http.Handler
		topic   string
		reason  event.Reason
	}{
		{name: "no topic", service: topics, topic: "another", reason: event.ReasonOther},
		{name: "not permitted", service: always(http.StatusForbidden, "PERMISSION_DENIED"), topic: "deep-image", reason: event.ReasonAuth},
		{name: "too fast", service: always(http.StatusTooManyRequests, "RESOURCE_EXHAUSTED"), topic: "deep-image", reason: event.ReasonRateLimited},
		{name: "broken", service: always(http.StatusServiceUnavailable, "UNAVAILABLE"), topic: "deep-image", reason: event.ReasonServerError},
		{name: "moved", service: always(http.StatusFound, ""), topic: "deep-image", reason: event.ReasonServerError},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			service := brokertest.NewService(t, row.service)
			brokertest.Fails(t, strings.Replace(address(service), "/deep-image", "/"+row.topic, 1), row.reason)
		})
	}
}
