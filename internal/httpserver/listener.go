package httpserver

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// boundListener has at most limit connections open. It closes a newcomer beyond
// that at once, so that nobody waits for an answer that cannot come.
type boundListener struct {
	*net.TCPListener
	limit int64
	open  atomic.Int64
}

func bound(listener net.Listener, limit int) (*boundListener, error) {
	plain, ok := listener.(*net.TCPListener)
	if !ok {
		return nil, fmt.Errorf("httpserver: %s is not a TCP address", listener.Addr())
	}
	return &boundListener{TCPListener: plain, limit: int64(limit)}, nil
}

// Accept waits for a connection within the limit.
func (l *boundListener) Accept() (net.Conn, error) {
	for {
		connection, err := l.AcceptTCP()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.limit {
			return &countedConn{TCPConn: connection, leave: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
		}
		l.open.Add(-1)
		_ = connection.Close() // nothing has been said on it
	}
}

// countedConn tells its listener, once, that it is closed. It is a TCPConn
// throughout, because net/http half-closes connections on which a client still sends.
type countedConn struct {
	*net.TCPConn
	leave func()
}

// Close closes the connection.
func (c *countedConn) Close() error {
	defer c.leave()
	return c.TCPConn.Close()
}
