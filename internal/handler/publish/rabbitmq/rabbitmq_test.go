package rabbitmq_test

import (
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/brokertest"
	"github.com/rabbitmq/amqp091-go"
)

func newSubject(t *testing.T) brokertest.Subject {
	t.Helper()
	own, gate := newRoom(t, "", ".*", withQueue(nil)), brokertest.NewGate()
	return brokertest.Subject{
		URL: own.address(gate.Proxy(t, own.listen), "exchange="+exchange), Gate: gate, Bodies: own.bodies, TooLarge: maxMessage,
	}
}

// Restarts disturb every other test, so this one and the next come before those that are parallel.
func TestRestart(t *testing.T) {
	running := server(t)
	brokertest.SurvivesRestart(t, brokertest.Restart{
		Subject: newSubject(t),
		Stop:    func(t *testing.T) { t.Helper(); running.must(t, "rabbit:stop()") },
		Start:   func(t *testing.T) { t.Helper(); running.must(t, "rabbit:start()") },
	})
}

func TestDownAtStart(t *testing.T) {
	own := newRoom(t, "", ".*", withQueue(nil))
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
	own := newRoom(t, "", ".*", withQueue(nil))
	made := brokertest.NewHandler(t, own.address(own.listen, "routing_key="+queue))
	if err := made.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := made.Handle(t.Context(), brokertest.Event(t, "job", "s3cret")); err != nil {
		t.Error(err)
	}
	if got := len(own.bodies(t)); got != 1 {
		t.Errorf("%d messages", got)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name, configure, write, parameters string
		setUp                              func(t *testing.T, channel *amqp091.Channel)
		reason                             event.Reason
		says                               string
	}{
		{"no exchange", "", ".*", "exchange=" + exchange, nil, event.ReasonOther, "exchange events with the routing key ai.deep-image.job.complete; create it"},
		{"no queue", "", ".*", "routing_key=" + queue, nil, event.ReasonOther, "queue deep-image"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			own := newRoom(t, row.configure, row.write, row.setUp)
			brokertest.Fails(t, own.address(own.listen, row.parameters), row.reason, row.says)
		})
	}
	t.Run("wrong password", func(t *testing.T) {
		t.Parallel()
		own := newRoom(t, "", ".*", nil)
		address := strings.Replace(own.address(own.listen, "routing_key="+queue), "user:", "somebody:", 1)
		brokertest.Fails(t, address, event.ReasonAuth, "user or password are wrong")
	})
	t.Run("no vhost", func(t *testing.T) {
		t.Parallel()
		own := newRoom(t, "", ".*", nil)
		address := strings.Replace(own.address(own.listen, "routing_key="+queue), own.vhost, "elsewhere", 1)
		brokertest.Fails(t, address,
			event.ReasonOther, "into the vhost elsewhere; create it")
	})
}

func TestBrokerRefuses(t *testing.T) {
	t.Parallel()
	full := amqp091.Table{amqp091.QueueMaxLenArg: 1, amqp091.QueueOverflowArg: amqp091.QueueOverflowRejectPublish}
	rows := []struct {
		name, write, parameters string
		arguments               amqp091.Table
		reason                  event.Reason
		says                    string
	}{
		{"no queue for the key", ".*", "exchange=" + exchange + "&routing_key=another", nil, event.ReasonOther, "has no queue for exchange events with the routing key another; bind one"},
		{"writing is not permitted", "^other$", "exchange=" + exchange, nil, event.ReasonAuth, "does not let this user write"},
		{"the queue is full", ".*", "exchange=" + exchange, full, event.ReasonServerError, "a queue may be full"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			own := newRoom(t, "", row.write, withQueue(row.arguments))
			made := brokertest.NewHandler(t, own.address(own.listen, row.parameters))
			if err := made.Check(t.Context()); err != nil {
				t.Errorf("check: %v", err)
			}
			var err error
			for n := 0; n < 4 && err == nil; n++ { // a queue takes one or two more than it should
				_, err = made.Handle(t.Context(), brokertest.Event(t, strings.Repeat("n", n+1), "s3cret"))
			}
			failure := handler.Classify(err)
			if failure == nil || failure.Action == event.ActionFail || failure.Reason != row.reason || !strings.Contains(failure.Error(), row.says) {
				t.Errorf("%+v, want %q", failure, row.says)
			}
		})
	}
}
