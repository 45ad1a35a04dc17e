// Package rabbitmq publishes to an exchange of RabbitMQ over AMQP 0-9-1. Messages are persistent and mandatory: the broker
// confirms a message once it has stored it, and returns one that no queue takes, which is a failure.
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
	hostTimeout  = 4 * time.Second  // for one host of the list, login included
	heartbeat    = 10 * time.Second // two missed ones end a connection
	closeTimeout = 2 * time.Second
)

// New parses a URL such as amqp://user:password@host/vhost?exchange=events&routing_key=deep-image. It does not connect.
func New(address broker.Address) (broker.Broker, error) {
	target, err := parse(address)
	if err != nil {
		return nil, err
	}
	return broker.NewSharedConn(target.connect), nil
}

// connection is a connection to one host. It does not reconnect: SharedConn makes a new one, whose error has the cause.
type connection struct {
	*amqp091.Connection
	target target
	socket net.Conn

	mutex sync.Mutex
	idle  []*channel // open and unused
}

// Alive reports whether the connection is up, as far as known.
func (c *connection) Alive() bool { return !c.IsClosed() }

// Close closes the connection. It waits for the broker for a short time only.
func (c *connection) Close() {
	_ = c.CloseDeadline(time.Now().Add(closeTimeout))
	c.cut()
}

// cut closes the socket. Calls that wait for the broker return an error.
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
	return &connection{Connection: conn, target: t, socket: socket}, nil
}

// frameSize is the default of RabbitMQ; larger messages take several frames.
const frameSize = 128 << 10

func (t target) dial(ctx context.Context, host string) (net.Conn, error) {
	if t.tls == nil {
		return new(net.Dialer).DialContext(ctx, "tcp", host)
	}
	return (&tls.Dialer{Config: t.tls}).DialContext(ctx, "tcp", host)
}

// acquire returns a channel for exclusive use until release.
func (c *connection) acquire() (*channel, error) {
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

func (c *connection) release(used *channel) {
	if used.IsClosed() {
		return
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.idle = append(c.idle, used)
}

// Publish sends the message and waits until the broker has confirmed it.
func (c *connection) Publish(ctx context.Context, message broker.Message) error {
	return c.do(ctx, message, func(used *channel) error { return used.publish(c.target, message) })
}

// Check returns an error if the exchange, or without one the queue, does not exist. The broker closes the channel then.
func (c *connection) Check(ctx context.Context) error {
	return c.do(ctx, broker.Message{}, func(used *channel) error { return used.check(c.target) })
}

// do calls work with a channel. The end of ctx cuts the connection, because the library's calls have no context: a broker
// that does not respond for so long needs a new connection anyway.
func (c *connection) do(ctx context.Context, message broker.Message, work func(*channel) error) error {
	stop := context.AfterFunc(ctx, c.cut)
	defer stop()
	used, err := c.acquire()
	if err == nil {
		defer c.release(used)
		err = work(used)
	}
	if err != nil && ctx.Err() != nil {
		return broker.Unacknowledged(ctx, "RabbitMQ")
	}
	return c.target.failure(message, err)
}
