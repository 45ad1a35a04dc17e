package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // net/http logs what a host sends behind a response
	goleak.VerifyTestMain(m)
}

// atHome allows the tests' own servers.
func atHome() fetch.Config {
	return fetch.Config{
		AllowedHosts: configtypes.List{"127.0.0.1", "example.com", "*.test"},
		AllowedCIDRs: configtypes.Prefixes{netip.MustParsePrefix("127.0.0.0/8")},
		AllowHTTP:    true,
	}
}

func newClient(t testing.TB, config fetch.Config, options ...fetch.Option) *fetch.Client {
	t.Helper()
	client, err := fetch.New(config, append([]fetch.Option{fetch.WithLimits(fetch.Limits{})}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func serve(t testing.TB, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = silence()
	server.Start()
	t.Cleanup(server.Close)
	return server
}

// serveEverywhere serves on every address of the machine, such as 127.0.0.1 and
// 127.0.0.2, and returns a URL for one of them.
func serveEverywhere(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	listener, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// silence is the log of servers whose clients break connections on purpose.
func silence() *log.Logger { return log.New(io.Discard, "", 0) }

// get fetches address under a deadline that only a broken test reaches.
func get(t testing.TB, client *fetch.Client, address string) ([]byte, fetch.Transfer, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var content bytes.Buffer
	file, err := client.GetCounted(ctx, fetch.Request{URL: address, MaxBytes: 1 << 20}, &content)
	return content.Bytes(), file, err
}

// failed wants an error of the kind with a text, and returns it.
func failed(t testing.TB, err error, kind fetch.Kind) *fetch.Error {
	t.Helper()
	failure, ok := errors.AsType[*fetch.Error](err)
	if !ok {
		t.Fatalf("got error %v (%T), want a *fetch.Error of kind %s", err, err, kind)
	}
	if failure.Kind != kind {
		t.Fatalf("got kind %s (%s), want %s", failure.Kind, failure, kind)
	}
	if len(failure.Text) < 15 {
		t.Errorf("text = %q, want a sentence", failure.Text)
	}
	return failure
}

// noise returns content without repetitions, so that a wrong part differs from the right one.
func noise(size int) []byte {
	content := make([]byte, size)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(content)
	return content
}

// atHost returns address with another host and the same port.
func atHost(t testing.TB, address, host string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	parsed.Host = net.JoinHostPort(host, parsed.Port())
	return parsed.String()
}

// raw is a server of bare TCP connections, for answers that no HTTP library would
// give. It calls answer with the number of the connection, after the request's head
// was read, and closes the connection when answer returns.
func raw(t testing.TB, answer func(conn net.Conn, number int)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for number := 0; ; number++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			answerOne(conn, number, answer)
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return listener.Addr().String()
}

func answerOne(conn net.Conn, number int, answer func(net.Conn, int)) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	head := make([]byte, 0, 4096)
	for !bytes.Contains(head, []byte("\r\n\r\n")) {
		n, err := conn.Read(head[len(head):cap(head)])
		if err != nil {
			return
		}
		head = head[:len(head)+n]
	}
	answer(conn, number)
}
