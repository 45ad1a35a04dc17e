// Package httpserver runs the public and the admin listener: limits, deadlines, client IP,
// access log, drain and shutdown. It has the route table of the public listener and the
// health endpoints; package admin has the route table of the admin listener.
package httpserver

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"

	"github.com/deepimage-receiver/receiver/internal/telemetry"
	"github.com/go-chi/chi/v5"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// headerSlack is how many bytes of a header section net/http reads beyond MaxHeaderBytes, so
// that limitHeaders can answer. Beyond it net/http answers in plain text.
const headerSlack = 16 << 10

// Deps are the dependencies of the public listener.
type Deps struct {
	Log     zerolog.Logger
	Webhook http.Handler // receives callbacks; chi's URL parameter "token" may be set
	Checks  []Check      // run by /readyz
}

// AdminDeps are the dependencies of the admin listener.
type AdminDeps struct {
	Log   zerolog.Logger
	Mount func(chi.Router) // mounts middleware and routes
	// End ends streaming responses when the listener stops; may be nil.
	End func()
}

// Server is one listener. It is safe for use by many goroutines.
type Server struct {
	config    Config
	log       zerolog.Logger
	webhook   http.Handler // nil for the admin listener
	mount     func(chi.Router)
	routine   func(r *http.Request, pattern string, status int) bool // true for access log lines at debug level
	readiness *readiness
	metrics   *metrics
	draining  atomic.Bool // not ready, but callbacks are accepted
	stopping  atomic.Bool // callbacks are refused

	unauthorizedLog, ownFaultLog, malformedLog, closedLog logLimit

	http    *http.Server
	cancel  context.CancelFunc // cancels the contexts of requests
	started atomic.Bool
	done    chan struct{} // closed when a started server stops listening
	err     error         // why; valid when done is closed
}

// New returns the public listener. Start makes it listen.
func New(config Config, deps Deps) (*Server, error) {
	if deps.Webhook == nil {
		return nil, errors.New("httpserver: no webhook handler")
	}
	s := &Server{config: config, log: deps.Log, webhook: deps.Webhook, metrics: newMetrics(publicListener)}
	s.readiness = newReadiness(deps.Checks, deps.Log)
	s.mount, s.routine = s.mountPublic, func(_ *http.Request, pattern string, _ int) bool { return isHealth(pattern) }
	if err := s.build(); err != nil {
		return nil, err
	}
	return s, nil
}

// NewAdmin returns the admin listener at its own address, with the limits of the public listener.
func NewAdmin(config Config, address string, deps AdminDeps) (*Server, error) {
	if deps.Mount == nil {
		return nil, errors.New("httpserver: no admin routes")
	}
	config.ListenAddr = address
	s := &Server{config: config, log: deps.Log.With().Str("listener", "admin").Logger(), mount: deps.Mount, routine: isRead, metrics: newMetrics("admin")}
	if err := s.build(); err != nil {
		return nil, err
	}
	if deps.End != nil {
		s.http.RegisterOnShutdown(deps.End)
	}
	return s, nil
}

// isRead reports whether a request only read something, as pages and Prometheus do.
func isRead(r *http.Request, _ string, status int) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && status < http.StatusBadRequest
}

func (s *Server) build() error {
	config := s.config
	if err := config.Validate(); err != nil {
		return fmt.Errorf("httpserver: %w", err)
	}
	s.done = make(chan struct{})
	base, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.http = &http.Server{
		Handler:                      s.Router(),
		ReadHeaderTimeout:            config.ReadHeaderTimeout,
		ReadTimeout:                  config.ReadTimeout,
		WriteTimeout:                 config.WriteTimeout,
		IdleTimeout:                  config.IdleTimeout,
		MaxHeaderBytes:               int(config.MaxHeaderBytes) + headerSlack,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     telemetry.NewStandard(s.log, zerolog.WarnLevel),
		ConnState:                    connState,
		ConnContext:                  withConnection,
		BaseContext:                  func(net.Listener) context.Context { return base },
	}
	return nil
}

// Start listens on the configured address and serves in the background until Shutdown. It
// returns the bound address. Call it once.
func (s *Server) Start(ctx context.Context) (net.Addr, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", s.config.ListenAddr)
	if err != nil {
		return nil, fmt.Errorf("httpserver: listen: %w", err)
	}
	limited, err := s.limitConns(listener)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	s.started.Store(true)
	go s.serve(limited)
	return listener.Addr(), nil
}

// limitConns returns listener with the limits of the configuration.
func (s *Server) limitConns(listener net.Listener) (*limitedListener, error) {
	plain, ok := listener.(*net.TCPListener)
	if !ok {
		return nil, fmt.Errorf("httpserver: %s is no TCP address", listener.Addr())
	}
	limited := &limitedListener{
		TCPListener: plain, limit: s.maxConnections(), closed: s.logClosed, malformed: s.logMalformed,
		proxies: s.config.TrustedProxies.Contains, byClient: make(map[netip.Prefix]int),
	}
	if s.webhook != nil {
		limited.spare = spareConnections
	}
	for p := range limited.phases {
		limited.phases[p] = list.New()
	}
	return limited, nil
}

// maxConnections returns the limit of connections, lowered to what the process has file descriptors for.
func (s *Server) maxConnections() int {
	limit := connectionsWithin(s.config.MaxConnections, descriptorLimit())
	if limit < s.config.MaxConnections && s.webhook != nil {
		s.log.Warn().Int("connections", limit).Int("configured", s.config.MaxConnections).Uint64("descriptors", descriptorLimit()).
			Msg("limit of connections lowered to fit the limit of file descriptors")
	}
	return limit
}

// connectionsWithin returns how many connections may be open with a number of file descriptors. A quarter of them, but at least 64
// and at most 512, is left to databases, downloads and the admin listener.
func connectionsWithin(configured int, descriptors uint64) int {
	const least, most, parts, fewest = 64, 512, 4, 16
	reserved := min(max(descriptors/parts, least), most)
	if descriptors < reserved+fewest {
		return min(configured, fewest)
	}
	return int(min(uint64(configured), descriptors-reserved))
}

// descriptorLimit returns the number of file descriptors that the process may have.
func descriptorLimit() uint64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxInt64
	}
	return min(limit.Cur, math.MaxInt64)
}

func (s *Server) serve(listener net.Listener) {
	defer close(s.done)
	if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		s.err = fmt.Errorf("httpserver: %w", err)
	}
}

// Done returns a channel that is closed when a started server stops listening.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err returns why the server stopped listening, once Done is closed; nil after Shutdown.
func (s *Server) Err() error { return s.err }

// Drain makes /readyz answer 503 and closes every connection after its next response. Callbacks are still accepted, so that
// proxies lose none until they have asked /readyz.
func (s *Server) Drain() { s.draining.Store(true) }

// closeDraining asks clients to close their connections while the server drains. An idle connection stays open: to close it could lose
// a request that is on its way.
func (s *Server) closeDraining(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// Shutdown refuses new callbacks with 503, stops listening and waits for the requests in progress. If ctx ends first, it closes their
// connections and returns an error.
func (s *Server) Shutdown(ctx context.Context) error {
	defer s.cancel()
	s.Drain()
	s.stopping.Store(true)
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("httpserver: shutdown: requests aborted: %w", err), s.http.Close())
	}
	if s.started.Load() {
		<-s.done // immediate: the listener is closed
	}
	return err
}
