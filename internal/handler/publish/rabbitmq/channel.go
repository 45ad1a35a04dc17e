package rabbitmq

import (
	"errors"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
	"github.com/rabbitmq/amqp091-go"
)

// channel is used by one message at a time, so that whatever the broker says in it
// is about that message.
type channel struct {
	*amqp091.Channel
	returned chan amqp091.Return
	closed   chan *amqp091.Error
}

var (
	// errNack is what a broker says that could not keep a message, such as when a queue is full.
	errNack = errors.New("it did not confirm the message (nack)")
	// errReturned is for a message that no queue takes.
	errReturned = errors.New("no queue took the message")
)

// open opens a channel in which messages are confirmed.
func (c *connection) open() (*channel, error) {
	opened, err := c.Channel()
	if err != nil {
		return nil, err
	}
	// The library drops what is not taken from these in time: nothing is, while one message has one place in each.
	made := &channel{
		Channel: opened, returned: opened.NotifyReturn(make(chan amqp091.Return, 1)), closed: opened.NotifyClose(make(chan *amqp091.Error, 1)),
	}
	if err := opened.Confirm(false); err != nil {
		return nil, made.reason(err)
	}
	return made, nil
}

// publish sends the message and waits for what becomes of it. The end of the connection ends the wait.
func (c *channel) publish(t target, message broker.Message) error {
	confirmation, err := c.PublishWithDeferredConfirm(t.exchange, t.key, true, false, amqp091.Publishing{
		ContentType: broker.ContentType, DeliveryMode: amqp091.Persistent, MessageId: message.ID,
		Type: defaultKey, AppId: "receiver", Body: message.Body,
	})
	if err != nil {
		return c.reason(err)
	}
	<-confirmation.Done()
	returned := false
	select {
	case _, returned = <-c.returned: // comes before the confirmation
	default:
	}
	switch {
	case !confirmation.Acked():
		return c.reason(errNack)
	case returned:
		return errReturned
	default:
		return nil
	}
}

// check asks for the exchange, or for the queue where there is none.
func (c *channel) check(t target) error {
	var err error
	if t.exchange == "" {
		_, err = c.QueueDeclarePassive(t.key, false, false, false, false, nil)
	} else {
		err = c.ExchangeDeclarePassive(t.exchange, "direct", false, false, false, false, nil)
	}
	if err != nil {
		return c.reason(err)
	}
	return nil
}

// reason is why the channel was closed, if it was, or else the error.
func (c *channel) reason(err error) error {
	if !c.IsClosed() {
		return err
	}
	if said, told := <-c.closed; told {
		return said
	}
	return amqp091.ErrClosed
}
