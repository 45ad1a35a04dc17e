package fetch

import (
	"net/http"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/httpclient"
	"github.com/deepimage-receiver/receiver/internal/lru"
)

const (
	maxStreamErrors  = 2         // of HTTP/2 from a host, before it is requested by HTTP/1.1
	streamErrorsLast = time.Hour // since the last one
	maxFaultyHosts   = 256
)

// protocols chooses between HTTP/2 and HTTP/1.1: a host whose HTTP/2 fails repeatedly is requested by HTTP/1.1. It is safe
// for concurrent use.
type protocols struct {
	http2, http1 *http.Transport

	mutex  sync.Mutex
	faults *lru.Cache[string, streamFaults] // by host and port
}

// streamFaults are errors of HTTP/2 without a success in between.
type streamFaults struct {
	count int
	last  time.Time
}

func newProtocols(newTransport func() *http.Transport) *protocols {
	p := &protocols{http2: newTransport(), http1: newTransport(), faults: lru.New[string, streamFaults](maxFaultyHosts)}
	only := &http.Protocols{}
	only.SetHTTP1(true)
	p.http1.Protocols = only
	return p
}

// of returns the transport for a host.
func (p *protocols) of(host string) *http.Transport {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if faults, ok := p.faults.Get(host); ok && faults.count >= maxStreamErrors && time.Since(faults.last) < streamErrorsLast {
		return p.http1
	}
	return p.http2
}

// failed records an error of a request or of a body.
func (p *protocols) failed(host string, err error) {
	if !httpclient.IsHTTP2Failure(err) {
		return
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	faults, _ := p.faults.Get(host)
	if time.Since(faults.last) >= streamErrorsLast {
		faults.count = 0
	}
	p.faults.Put(host, streamFaults{count: faults.count + 1, last: time.Now()})
}

// worked records a file that came by HTTP/2.
func (p *protocols) worked(response *http.Response) {
	if response.ProtoMajor < 2 {
		return
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if _, ok := p.faults.Get(response.Request.URL.Host); ok {
		p.faults.Put(response.Request.URL.Host, streamFaults{})
	}
}

// CloseIdleConnections closes the idle connections of both transports.
func (p *protocols) CloseIdleConnections() {
	p.http2.CloseIdleConnections()
	p.http1.CloseIdleConnections()
}
