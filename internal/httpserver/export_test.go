package httpserver

import "time"

// ConnectionsWithin is exported for tests.
var ConnectionsWithin = connectionsWithin

// ReadDeadline returns how long after its header section the body of a request must bring more than a number of bytes, if
// the last of them has just come after elapsed.
func ReadDeadline(length, bytes int64, elapsed, timeout time.Duration) time.Duration {
	p := newThroughput(nil, length, timeout)
	return p.deadline(bytes, p.began.Add(elapsed)).Sub(p.began)
}

// Refuse makes callbacks get 503, as while the server stops.
func (s *Server) Refuse() { s.stopping.Store(true) }
