package brokertest

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
)

// TCPProxy carries the connections to a broker. It can stall or cut them.
type TCPProxy struct {
	mutex   sync.Mutex
	open    map[net.Conn]struct{}
	stalled bool
	reached chan struct{} // closed once something was sent while stalled
	once    sync.Once
}

// NewTCPProxy returns a proxy that carries everything.
func NewTCPProxy() *TCPProxy {
	return &TCPProxy{open: map[net.Conn]struct{}{}, reached: make(chan struct{})}
}

// Stall drops everything from now on, in both directions.
func (p *TCPProxy) Stall() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.stalled = true
}

// Reached returns a channel that is closed once something was sent while stalled.
func (p *TCPProxy) Reached() <-chan struct{} { return p.reached }

// Cut closes all connections.
func (p *TCPProxy) Cut() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for conn := range p.open {
		_ = conn.Close()
	}
}

func (p *TCPProxy) isStalled() bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.stalled
}

// Wrap returns a listener whose connections the proxy controls.
func (p *TCPProxy) Wrap(listener net.Listener) net.Listener { return proxyListener{listener, p} }

type proxyListener struct {
	net.Listener
	proxy *TCPProxy
}

// Accept waits for the next connection.
func (l proxyListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.proxy.mutex.Lock()
	defer l.proxy.mutex.Unlock()
	l.proxy.open[conn] = struct{}{}
	return &proxyConn{conn, l.proxy}, nil
}

type proxyConn struct {
	net.Conn
	proxy *TCPProxy
}

// Read returns what the client sent. While stalled it returns nothing but the end.
func (c *proxyConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil || !c.proxy.isStalled() {
			return n, err
		}
		c.proxy.once.Do(func() { close(c.proxy.reached) })
	}
}

// Write sends to the client. While stalled it drops the data.
func (c *proxyConn) Write(b []byte) (int, error) {
	if c.proxy.isStalled() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// Close closes the connection.
func (c *proxyConn) Close() error {
	c.proxy.mutex.Lock()
	delete(c.proxy.open, c.Conn)
	c.proxy.mutex.Unlock()
	return c.Conn.Close()
}

// Listen listens on loopback and forwards to a broker at the address, which may be down for a while.
func (p *TCPProxy) Listen(t *testing.T, address string) (listening string) {
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
		p.Cut()
		group.Wait()
	})
	group.Go(func() {
		inner := p.Wrap(listener)
		for {
			client, err := inner.Accept()
			if err != nil {
				return
			}
			group.Go(func() { forward(ctx, client, address) })
		}
	})
	return listener.Addr().String()
}

// forward carries one connection to the broker and back until either side ends it.
func forward(ctx context.Context, client net.Conn, address string) {
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
