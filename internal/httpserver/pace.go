package httpserver

import (
	"net/http"
	"time"
)

const (
	// paceGrace is how long a body may be behind its pace, and how long it may stall.
	paceGrace = 10 * time.Second
	// minPace is the pace of the shortest bodies, and of those of unknown length, in bytes per second.
	minPace = 4 << 10
)

// pace sets the read deadline of a body so that a client that sends slowly fails early: a body must arrive as fast as it takes to be
// complete by the deadline of the request, with paceGrace, and never stall for as long. The zero pace sets nothing.
type pace struct {
	connection  *http.ResponseController
	began, last time.Time
	rate        float64 // bytes per second
}

// newPace returns the pace of a body whose header section was read just now. length is negative if it is unknown.
func newPace(connection *http.ResponseController, length int64, timeout time.Duration) pace {
	now := time.Now()
	return pace{connection: connection, began: now, last: now.Add(timeout), rate: max(float64(length)/timeout.Seconds(), minPace)}
}

// beforeRead sets the deadline of a read after a number of bytes.
func (p *pace) beforeRead(bytes int64) {
	if p.connection == nil {
		return
	}
	p.set(p.deadline(bytes, time.Now()))
}

// deadline returns the deadline of a read that begins now, after a number of bytes.
func (p *pace) deadline(bytes int64, now time.Time) time.Time {
	behind := p.began.Add(paceGrace + time.Duration(float64(bytes)/p.rate*float64(time.Second)))
	return earliest(behind, now.Add(paceGrace), p.last)
}

// end sets the deadline of the request again, because a later one must not end the connection.
func (p *pace) end() {
	if p.connection != nil {
		p.set(p.last)
	}
}

// set ignores the error of a writer without deadlines, as in tests.
func (p *pace) set(deadline time.Time) { _ = p.connection.SetReadDeadline(deadline) }

func earliest(first time.Time, others ...time.Time) time.Time {
	for _, other := range others {
		if other.Before(first) {
			first = other
		}
	}
	return first
}
