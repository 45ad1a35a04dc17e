// Package fakevendor is a fake Deep Image on loopback for the demo: an image host with real files and a few
// faults, and the sender of callbacks. All traffic is real HTTP.
package fakevendor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// defaultAddr is a free port on loopback.
	defaultAddr = "127.0.0.1:0"
	// defaultTimeout bounds the wait for the response to a callback.
	defaultTimeout = 30 * time.Second
	// headerTimeout bounds the time in which a client must send its request.
	headerTimeout = 10 * time.Second
	// maxHeaderBytes bounds the header section of a request.
	maxHeaderBytes = 64 << 10
	// maxHosted bounds the images of one vendor.
	maxHosted = 1 << 20
)

// Options configure a vendor; the zero value is valid.
type Options struct {
	Addr    string        // host:port to listen on; "" is a free port on 127.0.0.1
	Timeout time.Duration // of one attempt to deliver a callback; 0 is 30 s
}

// Vendor is a running fake. It is safe for concurrent use.
type Vendor struct {
	url      string
	server   *http.Server
	mux      *http.ServeMux
	client   *http.Client
	identity identity
	contents contents

	cancel  context.CancelFunc // ends the contexts of requests
	serving sync.WaitGroup     // the accept loop and every request that is being served
	failed  error              // of the accept loop; read after serving.Wait

	mutex  sync.RWMutex
	closed bool
	images map[string]*hosted // by path
}

// Start listens and serves until Close. The context bounds the start only.
func Start(ctx context.Context, options Options) (*Vendor, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", orDefault(options.Addr, defaultAddr))
	if err != nil {
		return nil, fmt.Errorf("fakevendor: %w", err)
	}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	v := &Vendor{
		url:      "http://" + listener.Addr().String(),
		mux:      http.NewServeMux(),
		client:   newClient(orDefault(options.Timeout, defaultTimeout)),
		identity: newIdentity(time.Now()),
		contents: contents{entries: map[picture]content{}},
		cancel:   cancel,
		images:   map[string]*hosted{},
	}
	v.mux.HandleFunc("GET /images/", v.serveImage)
	v.server = v.newServer(base)
	v.serving.Go(func() {
		if err := v.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			v.failed = fmt.Errorf("fakevendor: serve: %w", err)
		}
	})
	return v, nil
}

// newServer has no write timeout: a fault may make a response arbitrarily slow. The client and Close end it.
func (v *Vendor) newServer(base context.Context) *http.Server {
	return &http.Server{
		Handler:           v.track(v.mux),
		BaseContext:       func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       headerTimeout,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(io.Discard, "", 0), // faults break connections on purpose
	}
}

// track counts requests that are being served, so that Close can wait for them.
func (v *Vendor) track(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !v.begin() {
			panic(http.ErrAbortHandler)
		}
		defer v.serving.Done()
		next.ServeHTTP(w, r)
	})
}

// begin counts one request, unless the vendor is closing.
func (v *Vendor) begin() bool {
	v.mutex.RLock()
	defer v.mutex.RUnlock()
	if v.closed {
		return false
	}
	v.serving.Add(1)
	return true
}

// URL returns the address of the image host, http://host:port.
func (v *Vendor) URL() string { return v.url }

// HandleFunc adds a route beside those of the image host.
func (v *Vendor) HandleFunc(pattern string, handler http.HandlerFunc) {
	v.mux.HandleFunc(pattern, handler)
}

// Close ends every request and connection, and waits for what Start began. Deliveries must have returned.
func (v *Vendor) Close() error {
	v.mutex.Lock()
	v.closed = true
	v.mutex.Unlock()
	v.cancel()
	err := v.server.Close()
	v.serving.Wait()
	v.client.CloseIdleConnections()
	return errors.Join(err, v.failed)
}
