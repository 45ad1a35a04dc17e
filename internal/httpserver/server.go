// Package httpserver is how the receiver listens: limits and deadlines, the access
// line, and how a listener stops. The routes of the public listener and health are
// here; those of the admin listener are in package admin, one table each.
package httpserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/deepimage-receiver/receiver/internal/telemetry"
	"github.com/go-chi/chi/v5"
	"github.com/rs/zerolog"
)

// headerSlack is how much more of a header section net/http reads than we allow,
// in bytes, so that the refusal is ours; beyond it net/http refuses in plain text.
const headerSlack = 16 << 10

// Deps is what the server serves.
type Deps struct {
	Log     zerolog.Logger
	Webhook http.Handler // takes callbacks; the token, if in the path, is chi's parameter "token"
	Checks  []Check      // what /readyz looks at
}

// AdminDeps is what the admin listener serves.
type AdminDeps struct {
	Log   zerolog.Logger
	Mount func(chi.Router) // puts its middleware and its routes, the whole surface
	// End tells answers without an end, such as streams, to end: the listener stops.
	End func()
}

// Server is one listener. It is safe for use by many goroutines.
type Server struct {
	config    Config
	log       zerolog.Logger
	webhook   http.Handler // nil for the admin listener
	mount     func(chi.Router)
	routine   func(r *http.Request, pattern string, status int) bool // no access line at the usual level
	readiness *readiness
	metrics   *metrics
	draining  atomic.Bool

	http    *http.Server
	cancel  context.CancelFunc // ends what requests still wait for
	started atomic.Bool
	done    chan struct{} // closed when a started server no longer listens
	err     error         // why; to be read when done is closed
}

// New makes the public listener. It does not listen yet.
func New(config Config, deps Deps) (*Server, error) {
	if deps.Webhook == nil {
		return nil, errors.New("httpserver: there is no handler for callbacks")
	}
	s := &Server{config: config, log: deps.Log, webhook: deps.Webhook, metrics: newMetrics("public")}
	s.readiness = newReadiness(deps.Checks, deps.Log)
	s.mount, s.routine = s.public, func(_ *http.Request, pattern string, _ int) bool { return isHealth(pattern) }
	if err := s.build(); err != nil {
		return nil, err
	}
	return s, nil
}

// NewAdmin makes the admin listener, at an address of its own and with the limits of the public
// one. It does not listen yet.
func NewAdmin(config Config, address string, deps AdminDeps) (*Server, error) {
	if deps.Mount == nil {
		return nil, errors.New("httpserver: the admin listener has no routes")
	}
	config.ListenAddr = address
	s := &Server{config: config, log: deps.Log.With().Str("listener", "admin").Logger(), mount: deps.Mount, routine: isLooking, metrics: newMetrics("admin")}
	if err := s.build(); err != nil {
		return nil, err
	}
	if deps.End != nil {
		s.http.RegisterOnShutdown(deps.End)
	}
	return s, nil
}

// isLooking says that a person or Prometheus looked at something, which changes nothing.
func isLooking(r *http.Request, _ string, status int) bool {
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
		BaseContext:                  func(net.Listener) context.Context { return base },
	}
	return nil
}

// Start listens on the configured address and serves on a goroutine of its own
// until Shutdown. It returns the address that was bound. It is called once.
func (s *Server) Start(ctx context.Context) (net.Addr, error) {
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "tcp", s.config.ListenAddr)
	if err != nil {
		return nil, fmt.Errorf("httpserver: %w", err)
	}
	counted, err := bound(listener, s.config.MaxConnections)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	s.started.Store(true)
	go s.serve(counted)
	return listener.Addr(), nil
}

func (s *Server) serve(listener net.Listener) {
	defer close(s.done)
	if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		s.err = fmt.Errorf("httpserver: %w", err)
	}
}

// Done is closed when the server that was started no longer listens.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err tells, once Done is closed, why the server stopped listening; nil after Shutdown.
func (s *Server) Err() error { return s.err }

// Drain makes /readyz and new callbacks answer 503 from now on, while those that
// are being served finish. Connections are closed after their answer.
func (s *Server) Drain() {
	s.draining.Store(true)
	s.http.SetKeepAlivesEnabled(false)
}

// Shutdown drains, stops listening and waits for the requests that are being
// served. When ctx ends first, it closes their connections and says so.
func (s *Server) Shutdown(ctx context.Context) error {
	defer s.cancel()
	s.Drain()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("httpserver: requests were cut off: %w", err), s.http.Close())
	}
	if s.started.Load() {
		<-s.done // at once: the listener is closed
	}
	return err
}
