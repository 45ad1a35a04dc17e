package googlepubsub_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/brokertest"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/googlepubsub"
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

func TestTooLarge(t *testing.T) {
	t.Parallel()
	service := brokertest.NewService(t, topics)
	parsed, err := broker.ParseAddress(address(service))
	if err != nil {
		t.Fatal(err)
	}
	publisher, err := googlepubsub.New(parsed)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = publisher.Close() }()
	err = publisher.Publish(t.Context(), broker.Message{Body: make([]byte, 10_000_001)})
	if failure := handler.Classify(err); failure.Action != event.ActionFail || failure.Reason != event.ReasonTooLarge {
		t.Errorf("10,000,001 bytes: action, reason = %s, %s, want fail, too_large: %v", failure.Action, failure.Reason, err)
	}
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
