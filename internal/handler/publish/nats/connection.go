package nats

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	serverTimeout = 4 * time.Second  // for one server of the list, login included
	pingInterval  = 10 * time.Second // two without a response end a connection
	writeTimeout  = 10 * time.Second
	lookupTimeout = 2 * time.Second // for the lookup of the stream; without permission there is no response
)

// connection is a connection to one server. It does not reconnect: SharedConn makes a new one, whose error has the cause.
type connection struct {
	*nats.Conn
	stream  jetstream.JetStream
	subject string
	ready   atomic.Bool // logged in
	dialled error       // of the last dial, which the library does not return; written before Connect returns
	refused atomic.Bool // the server rejected a message for lack of permission
}

// Alive reports whether the connection is up, as far as known.
func (c *connection) Alive() bool { return c.IsConnected() }

// connect tries the servers of the list, one after the other.
func (t target) connect(ctx context.Context) (*connection, error) {
	made := &connection{subject: t.subject}
	conn, err := nats.Connect(strings.Join(t.servers, ","), t.options(ctx, made)...)
	if err != nil {
		return nil, connectFailure(ctx, made.dialled, err)
	}
	made.ready.Store(true)
	made.Conn = conn
	made.stream, err = jetstream.New(conn)
	if err != nil {
		conn.Close()
		return nil, broker.Failed("open NATS JetStream: %w", err)
	}
	return made, nil
}

func (t target) options(ctx context.Context, made *connection) []nats.Option {
	options := []nats.Option{
		nats.Name("receiver"), nats.NoReconnect(), nats.Timeout(serverTimeout), nats.SetCustomDialer(dialer{ctx, made}),
		nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(1), nats.FlusherTimeout(writeTimeout),
		nats.ErrorHandler(made.asyncError),
	}
	switch {
	case t.user != "" && t.password.IsZero():
		options = append(options, nats.Token(t.user))
	case t.user != "":
		options = append(options, nats.UserInfo(t.user, t.password.Reveal()))
	}
	if t.credentials != "" {
		options = append(options, nats.UserCredentials(t.credentials))
	}
	if t.tls != nil {
		options = append(options, nats.Secure(t.tls))
	}
	return options
}

// asyncError handles errors that the server sends unasked. It closes the connection after a rejected message, because the
// acknowledgement would never come. All messages have the same subject.
func (c *connection) asyncError(conn *nats.Conn, _ *nats.Subscription, err error) {
	text := strings.ToLower(err.Error())
	if errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(text, `publish to "`+strings.ToLower(c.subject)+`"`) {
		c.refused.Store(true)
		conn.Close()
	}
}

// dialer cancels dial and login with the context. The timeout of the library is the other bound.
type dialer struct {
	ctx  context.Context
	made *connection
}

// Dial connects to one server.
func (d dialer) Dial(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.ctx, serverTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	d.made.dialled = err
	if err != nil {
		return nil, err
	}
	context.AfterFunc(d.ctx, func() {
		if !d.made.ready.Load() {
			_ = conn.Close()
		}
	})
	return conn, nil
}
