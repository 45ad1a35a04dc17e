package httpserver

import (
	"net/http"
	"time"
)

const (
	// throughputGrace is how long a body may be behind its throughput, and how long it may stall.
	throughputGrace = 10 * time.Second
	// minThroughput is the throughput of the shortest bodies, and of those of unknown length, in bytes per second.
	minThroughput = 4 << 10
)

// throughput sets the read deadline of a body so that a client that sends slowly fails early: a body must arrive as fast as it takes to be
// complete by the deadline of the request, with throughputGrace, and never stall for as long. Between two reads, as while the handler waits
// for memory, its time stands still. A handler may replace the deadline of the request. The zero throughput sets nothing.
type throughput struct {
	connection  *http.ResponseController
	began, last time.Time // last may be zero for none
	paused      time.Time // end of the read before
	rate        float64   // bytes per second
}

// newThroughput returns the throughput of a body whose header section was read just now. length is negative if it is unknown.
func newThroughput(connection *http.ResponseController, length int64, timeout time.Duration) throughput {
	now := time.Now()
	return throughput{connection: connection, began: now, paused: now, last: now.Add(timeout), rate: max(float64(length)/timeout.Seconds(), minThroughput)}
}

// beforeRead sets the deadline of a read after a number of bytes.
func (p *throughput) beforeRead(bytes int64) {
	if p.connection == nil {
		return
	}
	now := time.Now()
	p.resume(now)
	p.set(p.deadline(bytes, now))
}

// afterRead begins a pause.
func (p *throughput) afterRead() { p.paused = time.Now() }

// resume ends a pause.
func (p *throughput) resume(now time.Time) { p.began = p.began.Add(now.Sub(p.paused)) }

// deadline returns the deadline of a read that begins now, after a number of bytes.
func (p *throughput) deadline(bytes int64, now time.Time) time.Time {
	behind := p.began.Add(throughputGrace + time.Duration(float64(bytes)/p.rate*float64(time.Second)))
	if p.last.IsZero() {
		return earliest(behind, now.Add(throughputGrace))
	}
	return earliest(behind, now.Add(throughputGrace), p.last)
}

// end sets the deadline of the request again, because a later one must not end the connection.
func (p *throughput) end() {
	if p.connection != nil {
		p.set(p.last)
	}
}

// set ignores the error of a writer without deadlines, as in tests.
func (p *throughput) set(deadline time.Time) { _ = p.connection.SetReadDeadline(deadline) }

func earliest(first time.Time, others ...time.Time) time.Time {
	for _, other := range others {
		if other.Before(first) {
			first = other
		}
	}
	return first
}
