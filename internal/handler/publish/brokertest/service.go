package brokertest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// Service is a fake HTTP service that keeps messages in memory over a restart.
type Service struct {
	Proxy   *TCPProxy
	handler http.Handler
	address string // host:port, the same after a restart
	server  *http.Server
	serving sync.WaitGroup

	mutex  sync.Mutex
	bodies [][]byte
	seen   map[string]bool
}

// NewService starts a service that is stopped at the end of the test.
func NewService(t *testing.T, newHandler func(s *Service) http.Handler) *Service {
	t.Helper()
	made := &Service{Proxy: NewTCPProxy(), address: "127.0.0.1:0", seen: map[string]bool{}}
	made.handler = newHandler(made)
	made.Start(t)
	t.Cleanup(func() { made.Stop(t) })
	return made
}

// URL returns the URL of the service.
func (s *Service) URL() string { return "http://" + s.address }

// Start listens, at the same address as before.
func (s *Service) Start(t *testing.T) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr().String()
	s.server = &http.Server{Handler: s.handler, ReadHeaderTimeout: time.Minute}
	server, gated := s.server, s.Proxy.Wrap(listener)
	s.serving.Go(func() {
		if err := server.Serve(gated); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// Stop ends all connections.
func (s *Service) Stop(t *testing.T) {
	t.Helper()
	if err := s.server.Close(); err != nil {
		t.Error(err)
	}
	s.serving.Wait()
}

// Keep stores a message. A message with a key that was stored before is dropped; the empty key is always new.
func (s *Service) Keep(body []byte, key string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if key != "" && s.seen[key] {
		return
	}
	s.seen[key] = true
	s.bodies = append(s.bodies, body)
}

// Bodies returns all stored messages.
func (s *Service) Bodies(*testing.T) [][]byte {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.bodies)
}
