package rabbitmq

import (
	"errors"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
	"github.com/rabbitmq/amqp091-go"
)

// channel carries one message at a time, so every reply of the broker is about that message.
type channel struct {
	*amqp091.Channel
	returned chan amqp091.Return
	closed   chan *amqp091.Error
}

var (
	// errNack reports that the broker did not store a message, for example because a queue is full.
	errNack = errors.New("it did not confirm the message (nack)")
	// errReturned reports that no queue takes a message.
	errReturned = errors.New("no queue took the message")
)

// open opens a channel in confirm mode.
func (c *connection) open() (*channel, error) {
	opened, err := c.Channel()
	if err != nil {
		return nil, err
	}
	// One message needs one place in each; the library drops what does not fit.
	made := &channel{
		Channel: opened, returned: opened.NotifyReturn(make(chan amqp091.Return, 1)), closed: opened.NotifyClose(make(chan *amqp091.Error, 1)),
	}
	if err := opened.Confirm(false); err != nil {
		return nil, made.reason(err)
	}
	return made, nil
}

// publish sends the message and waits for the confirmation. The end of the connection ends the wait.
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

// check looks up the exchange, or without one the queue.
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

// reason returns why the channel was closed, or err if it was not.
func (c *channel) reason(err error) error {
	if !c.IsClosed() {
		return err
	}
	if closed, ok := <-c.closed; ok {
		return closed
	}
	return amqp091.ErrClosed
}
