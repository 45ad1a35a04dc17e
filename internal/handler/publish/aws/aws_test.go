package aws_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/brokertest"
)

func TestQueue(t *testing.T) {
	t.Parallel()
	brokertest.Run(t, func(t *testing.T) brokertest.Subject {
		t.Helper()
		service := brokertest.NewService(t, queues)
		return subject(service, queueAddress(service, ""))
	})
}

func TestTopic(t *testing.T) {
	t.Parallel()
	brokertest.Run(t, func(t *testing.T) brokertest.Subject {
		t.Helper()
		service := brokertest.NewService(t, topics)
		return subject(service, topicAddress(service, ""))
	})
}

func TestRestart(t *testing.T) {
	t.Parallel()
	rows := map[string]func(t *testing.T) (*brokertest.Service, string){
		"queue": func(t *testing.T) (*brokertest.Service, string) {
			t.Helper()
			service := brokertest.NewService(t, queues)
			return service, queueAddress(service, "")
		},
		"queue that keeps the order": func(t *testing.T) (*brokertest.Service, string) {
			t.Helper()
			service := brokertest.NewService(t, queues)
			return service, queueAddress(service, ".fifo")
		},
		"topic that keeps the order": func(t *testing.T) (*brokertest.Service, string) {
			t.Helper()
			service := brokertest.NewService(t, topics)
			return service, topicAddress(service, ".fifo")
		},
	}
	for name, start := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service, address := start(t)
			brokertest.SurvivesRestart(t, brokertest.Restart{Subject: subject(service, address), Stop: service.Stop, Start: service.Start})
		})
	}
}

func TestDownAtStart(t *testing.T) {
	t.Parallel()
	service := brokertest.NewService(t, queues)
	service.Stop(t)
	brokertest.DownAtStart(t, queueAddress(service, ""), service.Start)
}

func TestFailures(t *testing.T) {
	t.Parallel()
	queue := func(code string) func(*brokertest.Service) http.Handler {
		return always(http.StatusBadRequest, "application/x-amz-json-1.0", `{"__type":"com.amazonaws.sqs#`+code+`","message":"the token `+brokertest.Password+`"}`)
	}
	topic := func(status int, code string) func(*brokertest.Service) http.Handler {
		return always(status, "text/xml", "<ErrorResponse><Error><Code>"+code+"</Code><Message>it says</Message></Error></ErrorResponse>")
	}
	rows := []struct {
		name    string
		service func(*brokertest.Service) http.Handler
		address func(*brokertest.Service, string) string
		suffix  string
		reason  event.Reason
	}{
		{name: "no queue", service: queues, address: queueAddress, suffix: "-other", reason: event.ReasonOther},
		{name: "no topic", service: topics, address: topicAddress, suffix: "-other", reason: event.ReasonOther},
		{name: "unknown key", service: queue("UnrecognizedClientException"), address: queueAddress, reason: event.ReasonAuth},
		{name: "wrong signature", service: topic(http.StatusForbidden, "SignatureDoesNotMatch"), address: topicAddress, reason: event.ReasonAuth},
		{name: "too fast", service: topic(http.StatusBadRequest, "Throttling"), address: topicAddress, reason: event.ReasonRateLimited},
		{name: "broken", service: topic(http.StatusServiceUnavailable, "InternalError"), address: topicAddress, reason: event.ReasonServerError},
		{name: "something else", service: always(http.StatusOK, "text/html", "<html>"), address: topicAddress, reason: event.ReasonServerError},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			brokertest.Fails(t, row.address(brokertest.NewService(t, row.service), row.suffix), row.reason)
		})
	}
}

func TestCheckWithoutPermission(t *testing.T) {
	t.Parallel()
	service := brokertest.NewService(t, always(http.StatusForbidden, "text/xml", "<ErrorResponse><Error><Code>AuthorizationError</Code></Error></ErrorResponse>"))
	made := brokertest.NewHandler(t, topicAddress(service, ""))
	if err := made.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// It is not parallel, because it changes the environment.
func TestNoCredentials(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	service := brokertest.NewService(t, queues)
	brokertest.Fails(t, queueAddress(service, ""), event.ReasonAuth)
}

func TestJobsAsMessageGroups(t *testing.T) {
	t.Parallel()
	service := brokertest.NewService(t, queues)
	made := brokertest.NewHandler(t, queueAddress(service, ".fifo"))
	for _, job := range []string{"plain", "with a blank", "ünïcode", strings.Repeat("long", 60)} {
		if _, err := made.Handle(t.Context(), brokertest.Event(t, job, "s3cret")); err != nil {
			t.Errorf("job %s: error = %v, want none", job, err)
		}
	}
	if got := len(service.Bodies(t)); got != 4 {
		t.Errorf("messages = %d, want 4", got)
	}
}
