package webhook_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/httpserver"
	"github.com/deepimage-receiver/receiver/internal/memory"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/deepimage-receiver/receiver/internal/webhook"
	"github.com/rs/zerolog"
)

// noInbox is an inbox without cost.
type noInbox struct{}

func (noInbox) Accept(context.Context, event.Event) (event.Receipt, error) {
	return event.Receipt{ID: "0192e4a4-7c1b-7d5e-9c3f-2f6d1f0a4b11"}, nil
}

func (noInbox) Reject(context.Context, event.Rejection) error { return nil }

// discard is a response writer that drops everything.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkCallback measures a callback without network and store: routing, token, body, JSON, response and access log.
func BenchmarkCallback(b *testing.B) {
	o := defaults()
	endpoint, err := webhook.New(o.webhook, webhook.Deps{Inbox: noInbox{}, Tokens: secret.List{secret.New(token)}, Memory: memory.New(int64(o.webhook.InFlightBytes)), Ready: o.ready})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("endpoint", func(b *testing.B) { benchmark(b, endpoint, "?token="+token) })
	server, err := httpserver.New(o.server, httpserver.Deps{Log: zerolog.New(io.Discard), Webhook: endpoint})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("server", func(b *testing.B) { benchmark(b, server.Router(), "/"+token) })
}

func benchmark(b *testing.B, handler http.Handler, where string) {
	b.ReportAllocs()
	b.SetBytes(int64(len(sample)))
	body := strings.NewReader(sample)
	request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://receiver"+event.WebhookPath+where, http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	request.RemoteAddr = "203.0.113.7:50000"
	answer := &discard{header: make(http.Header)}
	for b.Loop() {
		body.Reset(sample)
		request.Body, request.ContentLength = io.NopCloser(body), int64(len(sample))
		clear(answer.header)
		answer.status = http.StatusOK
		handler.ServeHTTP(answer, request)
		if answer.status != http.StatusOK {
			b.Fatalf("status = %d, want 200", answer.status)
		}
	}
}
