package rabbitmq_test

import (
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler/handlertest"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/brokertest"
	"github.com/rabbitmq/amqp091-go"
)

func newSubject(t *testing.T) brokertest.Subject {
	t.Helper()
	own, proxy := newVhost(t, "", ".*", withQueue(nil)), brokertest.NewTCPProxy()
	return brokertest.Subject{
		URL: own.address(proxy.Listen(t, own.listen), "exchange="+exchange), Proxy: proxy, Bodies: own.bodies, TooLarge: maxMessage,
	}
}

// This test and the next restart the shared server, so they are not parallel.
func TestRestart(t *testing.T) {
	running := server(t)
	brokertest.SurvivesRestart(t, brokertest.Restart{
		Subject: newSubject(t),
		Stop:    func(t *testing.T) { t.Helper(); running.must(t, "rabbit:stop()") },
		Start:   func(t *testing.T) { t.Helper(); running.must(t, "rabbit:start()") },
	})
}

func TestDownAtStart(t *testing.T) {
	own := newVhost(t, "", ".*", withQueue(nil))
	own.must(t, "rabbit:stop()")
	brokertest.DownAtStart(t, own.address(own.listen, "exchange="+exchange), func(t *testing.T) {
		t.Helper()
		own.must(t, "rabbit:start()")
	})
}

func TestBroker(t *testing.T) {
	t.Parallel()
	server(t)
	brokertest.Run(t, newSubject)
}

func TestQueueWithoutAnExchange(t *testing.T) {
	t.Parallel()
	own := newVhost(t, "", ".*", withQueue(nil))
	made := brokertest.NewHandler(t, own.address(own.listen, "routing_key="+queue))
	if err := made.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := made.Handle(t.Context(), brokertest.Event(t, "job", "s3cret")); err != nil {
		t.Error(err)
	}
	if got := len(own.bodies(t)); got != 1 {
		t.Errorf("messages = %d, want 1", got)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name, configure, write, parameters string
		setUp                              func(t *testing.T, channel *amqp091.Channel)
		reason                             event.Reason
	}{
		{name: "no exchange", write: ".*", parameters: "exchange=" + exchange, reason: event.ReasonOther},
		{name: "no queue", write: ".*", parameters: "routing_key=" + queue, reason: event.ReasonOther},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			own := newVhost(t, row.configure, row.write, row.setUp)
			brokertest.Fails(t, own.address(own.listen, row.parameters), row.reason)
		})
	}
	t.Run("wrong password", func(t *testing.T) {
		t.Parallel()
		own := newVhost(t, "", ".*", nil)
		address := strings.Replace(own.address(own.listen, "routing_key="+queue), "user:", "other:", 1)
		brokertest.Fails(t, address, event.ReasonAuth)
	})
	t.Run("no vhost", func(t *testing.T) {
		t.Parallel()
		own := newVhost(t, "", ".*", nil)
		address := strings.Replace(own.address(own.listen, "routing_key="+queue), own.name, "elsewhere", 1)
		brokertest.Fails(t, address, event.ReasonOther)
	})
}

func TestBrokerRefuses(t *testing.T) {
	t.Parallel()
	full := amqp091.Table{amqp091.QueueMaxLenArg: 1, amqp091.QueueOverflowArg: amqp091.QueueOverflowRejectPublish}
	rows := []struct {
		name, write, parameters string
		arguments               amqp091.Table
		reason                  event.Reason
	}{
		{name: "no queue for the key", write: ".*", parameters: "exchange=" + exchange + "&routing_key=another", reason: event.ReasonOther},
		{name: "writing is not permitted", write: "^other$", parameters: "exchange=" + exchange, reason: event.ReasonAuth},
		{name: "the queue is full", write: ".*", parameters: "exchange=" + exchange, arguments: full, reason: event.ReasonServerError},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			own := newVhost(t, "", row.write, withQueue(row.arguments))
			made := brokertest.NewHandler(t, own.address(own.listen, row.parameters))
			if err := made.Check(t.Context()); err != nil {
				t.Error(err)
			}
			var err error
			for n := 0; n < 4 && err == nil; n++ { // a queue takes one or two more than it should
				_, err = made.Handle(t.Context(), brokertest.Event(t, strings.Repeat("n", n+1), "s3cret"))
			}
			handlertest.WantError(t, err, event.ActionDefer, row.reason)
		})
	}
}
