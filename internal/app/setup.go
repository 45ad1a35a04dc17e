package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/google/uuid"
)

// sampleBody is the sample of Deep Image's documentation, for a job that nobody has. Its address is one
// that is never dialled.
const sampleBody = `{"job":%q,"data":{"url":"https://deep-image.ai/api-example.png","width":1000,"height":1000},` +
	`"result_url":"https://localhost:8073/images/2023-10-05/1f48bcdb-0117-49aa-b9e3-c5df10680642.png","results":null}`

// Settings are the variables in force.
func (b *backOffice) Settings() []admin.Setting {
	var list []admin.Setting
	for _, v := range b.app.config.Variables {
		list = append(list, admin.Setting{
			Name: v.Name, Value: v.Value, Source: string(v.Source), Meaning: v.Meaning, Default: v.Default, Range: v.Range,
		})
	}
	return list
}

// Webhook is what is to be registered with Deep Image.
func (b *backOffice) Webhook() (address, token string, guessed bool) {
	base := b.app.config.PublicURL
	if guessed = base == ""; guessed {
		base = "https://YOUR-HOST"
	}
	return base + event.WebhookPath + "/", url.PathEscape(b.app.tokens[0].Reveal()), guessed
}

// SendSample sends a callback through the public door of this process.
func (b *backOffice) SendSample(ctx context.Context) (event.ID, error) {
	body := fmt.Appendf(nil, sampleBody, "sample-"+uuid.NewString())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+b.app.ownAddress()+event.WebhookPath, bytes.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("app: sample: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+b.app.tokens[0].Reveal())
	transport := &http.Transport{DisableKeepAlives: true} // and no proxy: it is this process
	client := http.Client{Transport: transport, Timeout: sampleTimeout}
	answer, err := client.Do(request)
	if err != nil {
		return "", problem.Unavailable("The public door did not answer.", err)
	}
	defer func() { _ = answer.Body.Close() }()
	id, err := readReceipt(answer)
	if err != nil {
		return "", err
	}
	return id, b.awaitRelayed(ctx, id)
}

// awaitRelayed waits a little until there is something to be seen of an event.
func (b *backOffice) awaitRelayed(ctx context.Context, id event.ID) error {
	const look = 50 * time.Millisecond
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		_, err := b.app.work.History.Job(ctx, id)
		if err == nil || !errors.Is(err, history.ErrNotFound) {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return problem.Unavailable("The sample is safe, and waits for its turn behind other events.", ctx.Err())
		}
	}
}

const (
	sampleTimeout = 15 * time.Second
	maxReceipt    = 64 << 10 // bytes
)

func readReceipt(answer *http.Response) (event.ID, error) {
	var told struct{ ID, Title, Detail string }
	content, err := io.ReadAll(io.LimitReader(answer.Body, maxReceipt))
	if err == nil {
		err = json.Unmarshal(content, &told)
	}
	if answer.StatusCode != http.StatusOK || err != nil || told.ID == "" {
		text := strings.TrimSpace(answer.Status + ". " + told.Detail)
		return "", problem.Unavailable("The public door answered "+text, errors.Join(errors.New("app: the sample was not taken"), err))
	}
	return event.ID(told.ID), nil
}

// ownAddress is where this process reaches its own public door.
func (a *App) ownAddress() string {
	host, port, err := net.SplitHostPort(a.address.String())
	if err != nil {
		return a.address.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // who listens on all addresses listens on this one
	}
	return net.JoinHostPort(host, port)
}
