package rabbitmq

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
	"github.com/rabbitmq/amqp091-go"
)

const (
	hostTimeout  = 4 * time.Second  // for one host of the list, to connect and to log in
	heartbeat    = 10 * time.Second // a connection without two of them is at its end
	closeTimeout = 2 * time.Second
)

// connection is a connection to one host. It does not mend itself: the link makes a
// new one, whose error says what is wrong.
type connection struct {
	*amqp091.Connection
	socket net.Conn

	mutex sync.Mutex
	idle  []*channel // open, and nothing is on its way in them
}

// Alive says whether the broker is there, as far as is known.
func (c *connection) Alive() bool { return !c.IsClosed() }

// Close says goodbye, but does not insist on an answer.
func (c *connection) Close() {
	_ = c.CloseDeadline(time.Now().Add(closeTimeout))
	c.cut()
}

// cut ends the connection without a word. Whoever waits in it, for a reply or for
// room to write, is told that it is closed.
func (c *connection) cut() { _ = c.socket.Close() }

// connect tries the hosts of the list, one after the other.
func (t target) connect(ctx context.Context) (*connection, error) {
	var err error
	for _, host := range t.hosts {
		made, failed := t.connectTo(ctx, host)
		if failed == nil {
			return made, nil
		}
		err = failed
	}
	return nil, err
}

func (t target) connectTo(ctx context.Context, host string) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, hostTimeout)
	defer cancel()
	socket, err := t.dial(ctx, host)
	if err != nil {
		return nil, t.connectFailure(ctx, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = socket.Close() })
	conn, err := amqp091.Open(socket, amqp091.Config{
		SASL: []amqp091.Authentication{t.authentication()}, Vhost: t.vhost, Heartbeat: heartbeat, Locale: "en_US",
		FrameSize: frameSize, Properties: amqp091.Table{"product": "receiver", "connection_name": "receiver"},
	})
	if !stop() || err != nil {
		_ = socket.Close()
		return nil, t.connectFailure(ctx, err)
	}
	return &connection{Connection: conn, socket: socket}, nil
}

// frameSize is what RabbitMQ proposes; larger messages are sent in several frames.
const frameSize = 128 << 10

func (t target) dial(ctx context.Context, host string) (net.Conn, error) {
	if t.tls == nil {
		return new(net.Dialer).DialContext(ctx, "tcp", host)
	}
	return (&tls.Dialer{Config: t.tls}).DialContext(ctx, "tcp", host)
}

// take gives a channel that nobody else uses until it is given back.
func (c *connection) take() (*channel, error) {
	c.mutex.Lock()
	for len(c.idle) > 0 {
		last := c.idle[len(c.idle)-1]
		c.idle = c.idle[:len(c.idle)-1]
		if !last.IsClosed() {
			c.mutex.Unlock()
			return last, nil
		}
	}
	c.mutex.Unlock()
	return c.open()
}

func (c *connection) give(used *channel) {
	if used.IsClosed() {
		return
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.idle = append(c.idle, used)
}

// publish sends the message. The end of the context cuts the connection, because the
// library's calls know no context: a broker that does not answer for so long has
// to be connected to anew anyway.
func (c *connection) publish(ctx context.Context, t target, message broker.Message) error {
	stop := context.AfterFunc(ctx, c.cut)
	defer stop()
	taken, err := c.take()
	if err == nil {
		defer c.give(taken)
		err = taken.publish(t, message)
	}
	if err != nil && ctx.Err() != nil {
		return broker.Unanswered(ctx, "RabbitMQ")
	}
	return t.failure(message, err)
}

// check asks for what messages are sent to. A broker that does not have it closes the channel.
func (c *connection) check(ctx context.Context, t target) error {
	stop := context.AfterFunc(ctx, c.cut)
	defer stop()
	taken, err := c.take()
	if err == nil {
		defer c.give(taken)
		err = taken.check(t)
	}
	if err != nil && ctx.Err() != nil {
		return broker.Unanswered(ctx, "RabbitMQ")
	}
	return t.failure(broker.Message{}, err)
}
