package brokertest

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
)

// Gate is a way to a broker that can fall silent or be cut.
type Gate struct {
	mutex   sync.Mutex
	open    map[net.Conn]struct{}
	silent  bool
	reached chan struct{} // closed when something was sent into the silence
	once    sync.Once
}

// NewGate makes an open gate.
func NewGate() *Gate {
	return &Gate{open: map[net.Conn]struct{}{}, reached: make(chan struct{})}
}

// Silence lets nothing through from now on, in neither direction.
func (g *Gate) Silence() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.silent = true
}

// Reached is closed when something was sent into the silence.
func (g *Gate) Reached() <-chan struct{} { return g.reached }

// Cut closes all connections.
func (g *Gate) Cut() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	for conn := range g.open {
		_ = conn.Close()
	}
}

func (g *Gate) isSilent() bool {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.silent
}

// Wrap puts the gate before a listener.
func (g *Gate) Wrap(listener net.Listener) net.Listener { return gated{listener, g} }

type gated struct {
	net.Listener
	gate *Gate
}

// Accept waits for the next connection.
func (g gated) Accept() (net.Conn, error) {
	conn, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	g.gate.mutex.Lock()
	defer g.gate.mutex.Unlock()
	g.gate.open[conn] = struct{}{}
	return &gatedConn{conn, g.gate}, nil
}

type gatedConn struct {
	net.Conn
	gate *Gate
}

// Read gives what the client sent, until the gate is silent: then nothing but its end.
func (c *gatedConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.gate.isSilent() {
			return n, err
		}
		c.gate.once.Do(func() { close(c.gate.reached) })
	}
}

// Write sends to the client, or into the silence.
func (c *gatedConn) Write(p []byte) (int, error) {
	if c.gate.isSilent() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// Close closes the connection.
func (c *gatedConn) Close() error {
	c.gate.mutex.Lock()
	delete(c.gate.open, c.Conn)
	c.gate.mutex.Unlock()
	return c.Conn.Close()
}

// Proxy listens on loopback and passes on to a broker at the address, which may be down for a while.
func (g *Gate) Proxy(t *testing.T, address string) (listening string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		_ = listener.Close()
		g.Cut()
		group.Wait()
	})
	group.Go(func() {
		inner := g.Wrap(listener)
		for {
			client, err := inner.Accept()
			if err != nil {
				return
			}
			group.Go(func() { pass(ctx, client, address) })
		}
	})
	return listener.Addr().String()
}

// pass carries one connection to the broker and back until either side ends it.
func pass(ctx context.Context, client net.Conn, address string) {
	defer func() { _ = client.Close() }()
	broker, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	defer func() { _ = broker.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = broker.Close() })
	defer stop()
	var back sync.WaitGroup
	defer back.Wait()
	back.Go(func() {
		_, _ = io.Copy(client, broker)
		_ = client.Close()
	})
	_, _ = io.Copy(broker, client)
	_ = broker.Close()
}
