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
	serverTimeout = 4 * time.Second  // for one server of the list, to connect and to log in
	pingInterval  = 10 * time.Second // two unanswered ones end a connection
	writeTimeout  = 10 * time.Second
	askingTimeout = 2 * time.Second // for the question whether there is a stream; who may not ask gets no answer
)

// connection is a connection to one server. It does not mend itself: the link makes a
// new one, whose error says what is wrong.
type connection struct {
	*nats.Conn
	stream  jetstream.JetStream
	subject string
	ready   atomic.Bool // logged in
	dialled error       // why the last dial failed, which the library does not say; written before Connect returns
	refused atomic.Bool // the server said that we may not publish to the subject
}

// Alive says whether the server is there, as far as is known.
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
		return nil, broker.Failed("NATS JetStream cannot be used: %w", err)
	}
	return made, nil
}

func (t target) options(ctx context.Context, made *connection) []nats.Option {
	options := []nats.Option{
		nats.Name("receiver"), nats.NoReconnect(), nats.Timeout(serverTimeout), nats.SetCustomDialer(dialer{ctx, made}),
		nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(1), nats.FlusherTimeout(writeTimeout),
		nats.ErrorHandler(made.complaint),
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

// complaint is called for what a server says out of turn. That we may not publish is
// said so, while the message waits for an acknowledgement that will never come: the
// end of the connection ends that wait. All publish to the same subject.
func (c *connection) complaint(conn *nats.Conn, _ *nats.Subscription, err error) {
	text := strings.ToLower(err.Error())
	if errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(text, `publish to "`+strings.ToLower(c.subject)+`"`) {
		c.refused.Store(true)
		conn.Close()
	}
}

// dialer lets the end of a context end a dial, and the log in after it, of which the library's own deadline is the other bound.
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
