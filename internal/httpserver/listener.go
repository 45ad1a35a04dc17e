package httpserver

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// limitedListener has at most limit connections open. It closes a new connection beyond the
// limit at once, so that its client does not wait.
type limitedListener struct {
	*net.TCPListener
	limit int64
	open  atomic.Int64
}

func limitConns(listener net.Listener, limit int) (*limitedListener, error) {
	plain, ok := listener.(*net.TCPListener)
	if !ok {
		return nil, fmt.Errorf("httpserver: %s is no TCP address", listener.Addr())
	}
	return &limitedListener{TCPListener: plain, limit: int64(limit)}, nil
}

// Accept returns the next connection within the limit.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		connection, err := l.AcceptTCP()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.limit {
			return &countedConn{TCPConn: connection, release: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
		}
		l.open.Add(-1)
		_ = connection.Close() // nothing was sent on it
	}
}

// countedConn decrements the count of its listener when it is closed. It embeds *net.TCPConn
// because net/http half-closes connections whose client still sends.
type countedConn struct {
	*net.TCPConn
	release func()
}

// Close closes the connection.
func (c *countedConn) Close() error {
	defer c.release()
	return c.TCPConn.Close()
}
