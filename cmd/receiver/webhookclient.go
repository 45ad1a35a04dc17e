package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/httpclient"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// webhookClient sends callbacks to a receiver.
type webhookClient struct {
	address secret.Value // a URL that may contain the token
	token   secret.Value // zero if the URL contains it
	http    *http.Client // each request has its own deadline
}

// newWebhookClient finds the webhook URL and the token.
func newWebhookClient(options sendOptions) (webhookClient, error) {
	u, err := receiverURL(options.url)
	if err != nil {
		return webhookClient{}, err
	}
	path := strings.TrimRight(u.Path, "/")
	if strings.Contains(path, event.WebhookPath+"/") || u.Query().Has("token") || u.User != nil {
		return connectWebhook(u, secret.Value{}), nil
	}
	if !strings.HasSuffix(path, event.WebhookPath) {
		u.Path, u.RawPath = path+event.WebhookPath, ""
	}
	token, err := findToken(options.tokenFile)
	return connectWebhook(u, token), err
}

func connectWebhook(u *url.URL, token secret.Value) webhookClient {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment}
	return webhookClient{
		address: secret.New(u.String()),
		token:   token,
		http:    &http.Client{Transport: transport, CheckRedirect: keepRedirect},
	}
}

func receiverURL(text string) (*url.URL, error) {
	if text == "" {
		c, err := loadFor(listenVariables()...)
		if err != nil {
			return nil, err
		}
		if text, err = localURL(c.HTTP.ListenAddr); err != nil {
			return nil, err
		}
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, wrongUsage("--url must be a complete URL such as http://127.0.0.1:8080")
	}
	return u, nil
}

// findToken returns the first of the tokens that the receiver accepts.
func findToken(path string) (secret.Value, error) {
	if path != "" {
		token, err := config.ReadToken(path)
		if err != nil {
			return secret.Value{}, wrongUsage("--token-file: %s", err)
		}
		return token, nil
	}
	c, err := loadFor("RECEIVER_WEBHOOK_TOKENS", "RECEIVER_WEBHOOK_TOKENS_FILE", "RECEIVER_DATA_DIR")
	if err != nil {
		return secret.Value{}, err
	}
	tokens, err := c.Tokens()
	if errors.Is(err, fs.ErrNotExist) {
		return secret.Value{}, wrongUsage("there is no token: pass --token-file, or set RECEIVER_WEBHOOK_TOKENS " +
			"or the RECEIVER_DATA_DIR of a receiver that has started before")
	}
	if err != nil {
		return secret.Value{}, err
	}
	return tokens.List[0], nil
}

// deliver sends one callback and reads the answer. Its errors do not contain the token.
func (c webhookClient) deliver(ctx context.Context, body []byte, timeout time.Duration) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.address.Reveal(), bytes.NewReader(body))
	if err != nil {
		return answer{}, fmt.Errorf("send: %w", withoutURL(err))
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", httpclient.UserAgent())
	if !c.token.IsZero() {
		request.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	response, err := c.http.Do(request)
	if err != nil {
		return answer{}, fmt.Errorf("no response from %s: %w", request.URL.Host, withoutURL(err))
	}
	defer response.Body.Close() //nolint:errcheck // only read from
	return readAnswer(response)
}

func readAnswer(response *http.Response) (answer, error) {
	content, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return answer{}, fmt.Errorf("the response ended early: %w", err)
	}
	got := answer{Code: response.StatusCode}
	if json.Valid(content) {
		got.Body = content
	}
	return got, nil
}
