package admin

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
	"slices"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/history"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/google/uuid"
)

// Setting is a variable of the configuration.
type Setting struct {
	Name    string
	Value   string // redacted
	Source  string // where the value comes from
	Meaning string
	Default string
	Range   string
}

// setupPage is the body of the page with the configuration.
type setupPage struct {
	Set      []Setting      // by the environment
	Default  []settingGroup // the others
	Defaults int            // number of the others
	Address  string         // of the webhook, without its token
	Token    string         // "" unless it was requested
	Guessed  bool           // the host in Address is a placeholder
}

// settingGroup is a group of variables with the same prefix.
type settingGroup struct {
	Name     string
	Settings []Setting
}

// addSetting adds a variable to its group.
func addSetting(groups []settingGroup, one Setting) []settingGroup {
	name := "general"
	for _, group := range []string{
		"HTTP", "ADMIN", "WEBHOOK", "LOG", "DATABASE", "INBOX", "QUEUE", "RETRY", "FETCH", "DEEPIMAGE", "RECONCILE", "DOWNLOAD", "FORWARD", "PUBLISH",
	} {
		if strings.HasPrefix(one.Name, "RECEIVER_"+group+"_") {
			name = strings.ToLower(group)
		}
	}
	at := slices.IndexFunc(groups, func(g settingGroup) bool { return g.Name == name })
	if at < 0 {
		at = len(groups)
		groups = append(groups, settingGroup{Name: name})
	}
	groups[at].Settings = append(groups[at].Settings, one)
	return groups
}

// showSetup answers GET /setup, and POST /setup with the token of the webhook.
func (a *Admin) showSetup(w http.ResponseWriter, r *http.Request) {
	setup := a.deps.Setup
	body := setupPage{Address: setup.PublicURL, Guessed: setup.PublicURL == ""}
	if body.Guessed {
		body.Address = "https://YOUR-HOST"
	}
	body.Address += event.WebhookPath + "/"
	if r.Method == http.MethodPost {
		body.Token = url.PathEscape(setup.WebhookToken.Reveal())
		a.deps.Log.Info().Msg("webhook token revealed")
	}
	for _, one := range setup.Settings {
		if one.Source == "default" || one.Source == "none" {
			body.Default = addSetting(body.Default, one)
			body.Defaults++
		} else {
			body.Set = append(body.Set, one)
		}
	}
	a.show(w, r, "setup", view{Title: "Setup", Section: "setup", Body: body}, nil)
}

// testBody is the sample in Deep Image's documentation, for a job that does not exist. Its image URL is blocked.
const testBody = `{"job":%q,"data":{"url":"https://deep-image.ai/api-example.png","width":1000,"height":1000},` +
	`"result_url":"https://localhost:8073/images/2023-10-05/1f48bcdb-0117-49aa-b9e3-c5df10680642.png","results":null}`

const (
	// testEventTimeout bounds the test event until it can be shown.
	testEventTimeout = 20 * time.Second
	// acceptTimeout bounds the request to the public listener.
	acceptTimeout = 15 * time.Second
	maxReceipt    = 64 << 10 // bytes
)

// sendTestEvent answers POST /setup/test-event and redirects to the event.
func (a *Admin) sendTestEvent(w http.ResponseWriter, r *http.Request) {
	id, err := a.postTestEvent(r.Context())
	if err == nil {
		err = a.awaitEvent(r.Context(), id)
	}
	if err != nil {
		a.show(w, r, "problem", view{Section: "setup"}, err)
		return
	}
	a.redirect(w, r, eventPath(id))
}

// postTestEvent sends a callback to the public listener of this process.
func (a *Admin) postTestEvent(ctx context.Context) (event.ID, error) {
	body := fmt.Appendf(nil, testBody, "sample-"+uuid.NewString())
	target := "http://" + loopback(a.deps.Setup.PublicAddr()) + event.WebhookPath
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("admin: test event: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+a.deps.Setup.WebhookToken.Reveal())
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: acceptTimeout} // without a proxy
	response, err := client.Do(request)
	if err != nil {
		return "", problem.Unavailable("The public listener did not respond.", err)
	}
	defer func() { _ = response.Body.Close() }()
	var receipt struct{ ID, Detail string }
	content, err := io.ReadAll(io.LimitReader(response.Body, maxReceipt))
	if err == nil {
		err = json.Unmarshal(content, &receipt)
	}
	if response.StatusCode != http.StatusOK || err != nil || receipt.ID == "" {
		text := strings.TrimSpace(response.Status + ". " + receipt.Detail)
		return "", problem.Unavailable("The public listener responded "+text, errors.Join(errors.New("admin: the test event was not accepted"), err))
	}
	return event.ID(receipt.ID), nil
}

// awaitEvent waits until an accepted event can be shown.
func (a *Admin) awaitEvent(ctx context.Context, id event.ID) error {
	const interval = 50 * time.Millisecond
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		_, err := a.deps.History.Event(ctx, id)
		if err == nil || !errors.Is(err, history.ErrNotFound) {
			return storeFailure(err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return problem.Unavailable("The test event is stored and waits for earlier events.", ctx.Err())
		}
	}
}

// loopback is the address by which this process reaches its own listener.
func loopback(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // part of all addresses
	}
	return net.JoinHostPort(host, port)
}
