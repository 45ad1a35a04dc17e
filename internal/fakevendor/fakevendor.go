// Package fakevendor is a fake Deep Image on loopback, for the demo, load tests
// and tests: an image host with real files and faults on demand, the sender of
// the callbacks, and the API with its traps. Everything goes through real HTTP.
package fakevendor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// defaultAddr is a free port on loopback.
	defaultAddr = "127.0.0.1:0"
	// defaultTimeout is how long the sender waits for the answer to a callback.
	defaultTimeout = 30 * time.Second
	// headerTimeout bounds how long a client may take to send its request.
	headerTimeout = 10 * time.Second
	// maxHeaderBytes bounds the header section of a request.
	maxHeaderBytes = 64 << 10
	// maxJobs bounds what one vendor remembers.
	maxJobs = 1 << 20
	// plenty is of slots and credits that nobody limited.
	plenty = 1_000_000
)

// Options say how a vendor behaves; the zero value is good.
type Options struct {
	Addr    string        // host:port to listen on; "" is a free port on 127.0.0.1
	APIKey  string        // what x-api-key must be; "" makes one, see Vendor.APIKey
	Timeout time.Duration // of one attempt to deliver a callback; 0 is 30 s

	Processing Processing // of jobs that are submitted to the API
}

// Vendor is a running fake. It is safe for use by many goroutines.
type Vendor struct {
	options  Options
	url      string
	server   *http.Server
	client   *http.Client
	identity identity
	contents contents
	account  account
	calls    tally
	troubles plan[Trouble] // of the API as a whole
	forged   atomic.Int64  // numbers the files of forgers

	base    context.Context    // of answers and of jobs that were submitted
	cancel  context.CancelFunc // ends them
	serving sync.WaitGroup     // the accept loop and every answer under way
	failed  error              // why the accept loop ended; read after serving.Wait

	mutex  sync.RWMutex
	closed bool
	flaps  Flapping
	jobs   map[string]*job
	images map[string]*hosted // by path
}

// Start listens and serves until Close. The context bounds the start only.
func Start(ctx context.Context, options Options) (*Vendor, error) {
	options = withDefaults(options)
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", options.Addr)
	if err != nil {
		return nil, fmt.Errorf("fakevendor: %w", err)
	}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	v := &Vendor{
		options:  options,
		url:      "http://" + listener.Addr().String(),
		client:   newClient(options.Timeout),
		identity: newIdentity(time.Now()),
		contents: contents{entries: map[picture]content{}},
		account:  account{slots: options.Processing.Slots, credits: options.Processing.Credits},
		calls:    tally{calls: map[Call]int64{}},
		troubles: troublesOf(nil),
		base:     base,
		cancel:   cancel,
		jobs:     map[string]*job{},
		images:   map[string]*hosted{},
	}
	v.server = v.newServer()
	v.serving.Go(func() {
		if err := v.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			v.failed = fmt.Errorf("fakevendor: serve: %w", err)
		}
	})
	return v, nil
}

func withDefaults(options Options) Options {
	if options.Addr == "" {
		options.Addr = defaultAddr
	}
	if options.APIKey == "" {
		options.APIKey = rand.Text()
	}
	options.Processing.Slots = orDefault(options.Processing.Slots, plenty)
	options.Processing.Credits = orDefault(options.Processing.Credits, plenty)
	if options.Timeout <= 0 {
		options.Timeout = defaultTimeout
	}
	return options
}

// newServer has no write timeout: an answer may be as large and as slow as its
// fault wants; the client's patience and Close end it.
func (v *Vendor) newServer() *http.Server {
	return &http.Server{
		Handler:           v.track(v.routes()),
		BaseContext:       func(net.Listener) context.Context { return v.base },
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       headerTimeout,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(io.Discard, "", 0), // broken connections are its trade
	}
}

func (v *Vendor) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /images/", v.serveImage)
	v.routeAPI(mux)
	return mux
}

// track counts answers under way, so that Close can wait for them.
func (v *Vendor) track(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !v.begin() {
			panic(http.ErrAbortHandler)
		}
		defer v.serving.Done()
		next.ServeHTTP(w, r)
	})
}

// begin counts one answer in, unless the vendor is closing.
func (v *Vendor) begin() bool {
	v.mutex.RLock()
	defer v.mutex.RUnlock()
	if v.closed {
		return false
	}
	v.serving.Add(1)
	return true
}

// URL is where the image host and the API are: http://host:port.
func (v *Vendor) URL() string { return v.url }

// APIURL is the base of the API, as https://deep-image.ai/rest_api is of the real one.
func (v *Vendor) APIURL() string { return v.url + "/rest_api" }

// APIKey is what the API wants to see as x-api-key.
func (v *Vendor) APIKey() string { return v.options.APIKey }

// Close ends every answer and every delivery's connection and waits for what it
// started. Deliveries must have returned.
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
