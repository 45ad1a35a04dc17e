package app_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/httpserver"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/memory"
	"github.com/deepimage-receiver/receiver/internal/testkit"
	"github.com/deepimage-receiver/receiver/internal/webhook"
	"github.com/rs/zerolog"
)

// BenchmarkAccept sends callbacks over real connections to the public listener, and compares the stores behind it. Compare the
// ratios of rows of one run; the rates depend on the machine. More connections mean more concurrent callbacks.
func BenchmarkAccept(b *testing.B) {
	for _, connections := range []int{64, 256} {
		name := fmt.Sprintf("connections=%d/store=", connections)
		b.Run(name+"none", func(b *testing.B) { sendAll(b, connections, listen(b, noStore{})) })
		for _, kind := range []database.Kind{database.SQLite, database.Postgres} {
			name := name + kind.String()
			b.Run(name+"-one-transaction-each", func(b *testing.B) { sendAll(b, connections, listen(b, store(b, kind, 1))) })
			b.Run(name+"-group-commit", func(b *testing.B) { sendAll(b, connections, listen(b, store(b, kind, 512))) })
			b.Run(name+"-group-commit-workers-busy", func(b *testing.B) {
				r := start(b, busyConfiguration(b, kind))
				r.warm(b)
				before := r.doneSoFar(b)
				sendAll(b, connections, r.webhook())
				b.ReportMetric(float64(r.doneSoFar(b)-before)/b.Elapsed().Seconds(), "steps/s")
			})
		}
	}
}

// BenchmarkReplicas measures accepted callbacks and finished steps per second of one, two and three replicas on one database, with
// 64 senders and handlers that do nothing.
func BenchmarkReplicas(b *testing.B) {
	for replicas := 1; replicas <= 3; replicas++ {
		b.Run(fmt.Sprintf("replicas=%d", replicas), func(b *testing.B) {
			c := busyConfiguration(b, database.Postgres)
			var first *receiver
			var webhooks []string
			for range replicas {
				c.DataDir = b.TempDir()
				r := start(b, c)
				if first == nil {
					first = r
				}
				webhooks = append(webhooks, r.webhook())
			}
			begun := time.Now()
			sendAll(b, 64, webhooks...)
			for first.doneSoFar(b) < int64(b.N) {
				runtime.Gosched()
			}
			b.ReportMetric(float64(b.N)/time.Since(begun).Seconds(), "steps/s")
		})
	}
}

// warm sends enough callbacks to keep the workers busy when measuring begins.
func (r *receiver) warm(b *testing.B) {
	b.Helper()
	client := newClient(b)
	var group sync.WaitGroup
	for sender := range 64 {
		group.Go(func() {
			for n := range 16 {
				if a := post(b, client, r.webhook(), fmt.Appendf(nil, `{"job":"warm-%d-%d"}`, sender, n)); a.code != http.StatusOK {
					b.Errorf("status = %d, want 200", a.code)
				}
			}
		})
	}
	group.Wait()
	for r.doneSoFar(b) == 0 {
		runtime.Gosched()
	}
}

// sendAll posts b.N callbacks of different jobs over concurrent connections, which use the webhooks in turn.
func sendAll(b *testing.B, connections int, webhooks ...string) {
	var n, senders atomic.Int64
	b.SetParallelism(max(1, connections/runtime.GOMAXPROCS(0)))
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		s := newSender(b, webhooks[senders.Add(1)%int64(len(webhooks))])
		defer s.close()
		for pb.Next() {
			if err := s.send(n.Add(1)); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "callbacks/s")
}

// sender is one connection of a cheap client, so that the benchmark measures the receiver.
type sender struct {
	connection    net.Conn
	responses     *bufio.Reader
	head          string
	request, body []byte
}

func newSender(b *testing.B, webhook string) *sender {
	target, err := url.Parse(webhook)
	if err != nil {
		b.Error(err)
	}
	connection, err := net.Dial("tcp", target.Host)
	if err != nil {
		b.Error(err)
	}
	head := "POST " + target.Path + " HTTP/1.1\r\nHost: " + target.Host + "\r\nContent-Type: application/json\r\nContent-Length: "
	return &sender{connection: connection, responses: bufio.NewReader(connection), head: head}
}

func (s *sender) close() { _ = s.connection.Close() }

// send posts a callback shaped like the documented sample and waits for its 200.
func (s *sender) send(n int64) error {
	s.body = fmt.Appendf(s.body[:0], `{"job":"%08x-634e-11ee-a699-0242ac14000b","data":{"url":"https://deep-image.ai/api-example.png",`+
		`"width":1000,"height":1000,"webhooks":{"complete":"https://hooks.example.com/webhooks/deep-image/REPLACE-ME"}},`+
		`"result_url":"https://deep-image.ai/images/2023-10-05/1f48bcdb-0117-49aa-b9e3-c5df10680642.png","results":null}`, n)
	return s.post(s.body)
}

// post posts a callback and waits for its 200.
func (s *sender) post(body []byte) error {
	s.request = fmt.Appendf(s.request[:0], "%s%d\r\n\r\n%s", s.head, len(body), body)
	if err := s.connection.SetDeadline(time.Now().Add(testkit.Timeout)); err != nil {
		return err
	}
	if _, err := s.connection.Write(s.request); err != nil {
		return err
	}
	return s.readResponse()
}

func (s *sender) readResponse() error {
	status, err := s.responses.ReadSlice('\n')
	if err != nil || !bytes.HasPrefix(status, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("status line = %q, error %w; want 200", status, err)
	}
	length := 0
	for {
		line, err := s.responses.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) == len("\r\n") {
			_, err := s.responses.Discard(length)
			return err
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
}

// noStore is an inbox that stores nothing.
type noStore struct{}

func (noStore) Accept(context.Context, event.Event) (event.Receipt, error) {
	return event.Receipt{ID: "019a0000-0000-7000-8000-000000000000"}, nil
}

func (noStore) Reject(context.Context, event.Rejection) error { return nil }

// store returns an inbox whose transactions have at most batch callbacks.
func store(b *testing.B, kind database.Kind, batch int) webhook.Inbox {
	b.Helper()
	db := databasetest.NewPlace(b, kind).Open(b).Inbox
	if _, err := inbox.Migrate(b.Context(), db); err != nil {
		b.Fatal(err)
	}
	opened, err := inbox.Open(b.Context(), db, inbox.Config{MaxBatch: batch, MaxBacklog: 1 << 40, MaxRejections: 1, MaxRejectionsBytes: 1 << 20})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = opened.Close() })
	return opened
}

// listen starts the public listener over an inbox, as App does, and returns the URL of its webhook.
func listen(b *testing.B, behind webhook.Inbox) (url string) {
	b.Helper()
	c := configuration(b, databasetest.NewPlace(b, database.SQLite))
	webhooks, err := webhook.New(c.Webhook, webhook.Deps{Inbox: behind, Tokens: c.WebhookTokens, Memory: memory.New(256 << 20), Ready: func() error { return nil }})
	if err != nil {
		b.Fatal(err)
	}
	server, err := httpserver.New(c.HTTP, httpserver.Deps{Log: zerolog.New(io.Discard), Webhook: webhooks})
	if err != nil {
		b.Fatal(err)
	}
	address, err := server.Start(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testkit.Timeout)
		defer cancel()
		_ = server.Shutdown(ctx)
	})
	return "http://" + address.String() + "/webhooks/deep-image/" + token
}

// idle is a handler that does nothing.
type idle struct{}

type idleConfig struct{}

func (*idleConfig) Limits() handler.Limits {
	return handler.Limits{Concurrency: 200, Timeout: time.Minute}
}

func (idle) Handle(context.Context, event.Event) (handler.Outcome, error) {
	return handler.Outcome{}, nil
}

func busyConfiguration(b *testing.B, kind database.Kind) config.Config {
	c := configuration(b, databasetest.NewPlace(b, kind))
	c.Inbox.MaxBacklog = 1 << 40
	c.HandlerNames = []string{"idle"}
	c.Handlers = []config.Handler{{
		Definition: handler.Define("idle", func(context.Context, idleConfig, handler.Deps) (idle, error) { return idle{}, nil }),
		Config:     &idleConfig{},
	}}
	return c
}

// doneSoFar is how many events the workers have finished.
func (r *receiver) doneSoFar(b *testing.B) int64 {
	counts, err := r.Stores().History.Counts(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return counts[event.Done]
}
