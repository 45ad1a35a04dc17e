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
		answer  func(*brokertest.Service) http.Handler
		address func(*brokertest.Service, string) string
		suffix  string
		reason  event.Reason
		says    string
	}{
		{"no queue", queues, queueAddress, "-other", event.ReasonOther, "there is no SQS queue " + queueURL + "-other; create it"},
		{"no topic", topics, topicAddress, "-other", event.ReasonOther, "there is no SNS topic " + topicARN + "-other; create it"},
		{"unknown key", queue("UnrecognizedClientException"), queueAddress, "", event.ReasonAuth, "UnrecognizedClientException"},
		{"wrong signature", topic(http.StatusForbidden, "SignatureDoesNotMatch"), topicAddress, "", event.ReasonAuth, "SignatureDoesNotMatch"},
		{"too fast", topic(http.StatusBadRequest, "Throttling"), topicAddress, "", event.ReasonRateLimited, "slow down"},
		{"broken", topic(http.StatusServiceUnavailable, "InternalError"), topicAddress, "", event.ReasonServerError, "InternalError: it says"},
		{"something else", always(http.StatusOK, "text/html", "<html>"), topicAddress, "", event.ReasonServerError, "answers something else"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			brokertest.Fails(t, row.address(brokertest.NewService(t, row.answer), row.suffix), row.reason, row.says)
		})
	}
}

func TestWhoMayNotAskMayPublish(t *testing.T) {
	t.Parallel()
	service := brokertest.NewService(t, always(http.StatusForbidden, "text/xml", "<ErrorResponse><Error><Code>AuthorizationError</Code></Error></ErrorResponse>"))
	made := brokertest.NewHandler(t, topicAddress(service, ""))
	if err := made.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// No t.Parallel: it takes the credentials out of the environment.
func TestNoCredentials(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	service := brokertest.NewService(t, queues)
	brokertest.Fails(t, queueAddress(service, ""), event.ReasonAuth, "there are no credentials of AWS")
}

func TestJobsThatAreNoGroups(t *testing.T) {
	t.Parallel()
	service := brokertest.NewService(t, queues)
	made := brokertest.NewHandler(t, queueAddress(service, ".fifo"))
	for _, job := range []string{"plain", "with a blank", "ünïcode", strings.Repeat("long", 60)} {
		if _, err := made.Handle(t.Context(), brokertest.Event(t, job, "s3cret")); err != nil {
			t.Errorf("%s: %v", job, err)
		}
	}
	if got := len(service.Bodies(t)); got != 4 {
		t.Errorf("%d messages", got)
	}
}
