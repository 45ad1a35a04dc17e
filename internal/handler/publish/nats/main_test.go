package nats_test

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/handler/handlertest"
	"github.com/deepimage-receiver/receiver/internal/handler/publish/brokertest"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestMain(m *testing.M) { handlertest.Main(m) }

const (
	subject    = "deep-image.complete"
	maxPayload = 64 << 10
)

// natsServer is a real one, in this process, that keeps its streams in files.
type natsServer struct {
	folder string
	listen string // host:port, the same after a restart
	change func(*server.Options)
	*server.Server
}

// newServer starts a server with a stream for the subject. change may be nil.
func newServer(t *testing.T, change func(*server.Options)) *natsServer {
	t.Helper()
	made := &natsServer{folder: filepath.Join(t.TempDir(), "js"), listen: "127.0.0.1:-1", change: change}
	made.start(t)
	made.listen = made.Addr().String()
	t.Cleanup(func() { made.stop(t) })
	return made
}

func (s *natsServer) start(t *testing.T) {
	t.Helper()
	host, port, err := net.SplitHostPort(s.listen)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	options := &server.Options{
		Host: host, Port: number, NoSigs: true, NoLog: true, MaxPayload: maxPayload,
		JetStream: true, StoreDir: s.folder, SyncAlways: true,
		Username: "user", Password: brokertest.Password,
	}
	if s.change != nil {
		s.change(options)
	}
	s.Server, err = server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("server is not ready after 10s, want it ready")
	}
}

func (s *natsServer) stop(t *testing.T) {
	t.Helper()
	s.Shutdown()
	s.WaitForShutdown()
}

// connect connects without a network.
func (s *natsServer) connect(t *testing.T) jetstream.JetStream {
	t.Helper()
	conn, err := nats.Connect("", nats.InProcessServer(s.Server), nats.UserInfo("user", brokertest.Password))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	stream, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// addStream adds the stream, with a window of duplicates so short that every repeat is seen in it.
func (s *natsServer) addStream(t *testing.T, config jetstream.StreamConfig) {
	t.Helper()
	config.Name, config.Subjects, config.Storage = "EVENTS", []string{subject}, jetstream.FileStorage
	if _, err := s.connect(t).CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
}

func (s *natsServer) bodies(t *testing.T) [][]byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	stream, err := s.connect(t).Stream(ctx, "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var bodies [][]byte
	for sequence := range info.State.LastSeq {
		message, err := stream.GetMsg(ctx, sequence+1)
		if err != nil {
			t.Fatal(err)
		}
		if got := message.Header.Get("Content-Type"); got != "application/cloudevents+json" {
			t.Errorf("content type = %q, want application/cloudevents+json", got)
		}
		bodies = append(bodies, message.Data)
	}
	return bodies
}

func address(listening string) string {
	return fmt.Sprintf("nats://user:%s@%s/%s", brokertest.Password, listening, subject)
}

func newSubject(t *testing.T, s *natsServer) brokertest.Subject {
	t.Helper()
	proxy := brokertest.NewTCPProxy()
	return brokertest.Subject{
		URL: address(proxy.Listen(t, s.listen)), Proxy: proxy, Bodies: s.bodies, TooLarge: maxPayload,
	}
}
