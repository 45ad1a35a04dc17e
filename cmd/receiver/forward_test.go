package main_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

var signingSecret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("hunter2hunter2hunter2hunter2"))

// endpoint is a system that verifies what is sent to it, and answers with a status.
func endpoint(t *testing.T, status *atomic.Int64) (url string, verified *atomic.Int64) {
	t.Helper()
	webhook, err := standardwebhooks.NewWebhook(signingSecret)
	if err != nil {
		t.Fatal(err)
	}
	verified = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || webhook.Verify(body, r.Header) != nil || !json.Valid(body) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		verified.Add(1)
		w.WriteHeader(int(status.Load()))
		_, _ = io.WriteString(w, "thanks")
	}))
	t.Cleanup(server.Close)
	return server.URL + "/hunter2-hook", verified
}

func answering(status int64) *atomic.Int64 {
	made := &atomic.Int64{}
	made.Store(status)
	return made
}

func TestSendToForward(t *testing.T) {
	t.Parallel()
	good, verified := endpoint(t, answering(200))
	bad, _ := endpoint(t, answering(400))
	signed := "RECEIVER_FORWARD_SECRETS=" + signingSecret
	rows := []struct {
		name string
		env  []string
		args string
		code int
		want string // regular expression of the whole output
	}{
		{"good", []string{signed, "RECEIVER_FORWARD_URLS=a=" + good}, "", 0, `forward-a  ok  \d+ ms  127\.0\.0\.1:\d+ answered 200 OK: thanks\n`},
		{"address on the command line", []string{signed}, "--url " + good, 0, `forward-127-0-0-1-\S+  ok  .*\n`},
		{"always the document", []string{signed, "RECEIVER_FORWARD_MODE=image"}, "--url " + good, 0, `\S+  ok  .*\n`},
		{"own callback", []string{signed}, "--job mine --result-url= --url " + good, 0, `\S+  ok  .*\n`},
		{"one of two", []string{signed, "RECEIVER_FORWARD_URLS=a=" + bad + ",b=" + good}, "", 1, `forward-a  failed  .* answered 400 Bad Request: thanks\nforward-b  ok  .*\n`},
		{"not signed", nil, "--url " + good, 1, `\S+  failed  .* answered 401 Unauthorized\n`},
		{"nobody there", nil, "--url http://127.0.0.1:1/", 1, `\S+  failed  .* 127\.0\.0\.1:1 refused the connection\n`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := run(t, row.env, append([]string{"send", "--to", "forward"}, strings.Fields(row.args)...)...).expect(t, row.code)
			if !regexp.MustCompile(`^`+row.want+`$`).MatchString(got.stdout) || strings.Contains(got.stdout+got.stderr, "hunter2") {
				t.Errorf("got %q, want %s; %s", got.stdout, row.want, got.stderr)
			}
		})
	}
	t.Run("for programs", func(t *testing.T) {
		t.Parallel()
		var told struct {
			Target, ID, Answer string
			OK                 bool
			Milliseconds       float64 `json:"duration_ms"`
		}
		got := run(t, []string{signed}, "send", "--to", "forward", "--json", "--url", good).expect(t, 0)
		if err := json.Unmarshal([]byte(got.stdout), &told); err != nil || !told.OK || told.ID == "" || told.Milliseconds <= 0 {
			t.Errorf("%v: %s", err, got.stdout)
		}
	})
	t.Cleanup(func() {
		if verified.Load() < 5 {
			t.Errorf("%d calls were verified", verified.Load())
		}
	})
}

// A target that answers 410 is disabled; a person enables it, beside the running receiver, and what was
// parked is sent within seconds.
func TestTargets(t *testing.T) {
	t.Parallel()
	status := answering(http.StatusGone)
	address, verified := endpoint(t, status)
	forwarding := []string{
		"RECEIVER_WEBHOOK_TOKENS=" + knownToken, "RECEIVER_HANDLERS=forward",
		"RECEIVER_FORWARD_URLS=crm=" + address, "RECEIVER_FORWARD_SECRETS=" + signingSecret,
	}
	folder := t.TempDir()
	targets := func(code int, args ...string) result {
		t.Helper()
		return receiver(t, call{args: append([]string{"targets"}, args...), env: forwarding, folder: folder}).expect(t, code)
	}
	contains(t, "stderr", targets(1).stderr, "there is no receiver's work store at")
	r := start(t, folder, forwarding...)
	send := func(job string) {
		t.Helper()
		run(t, []string{r.listening(), "RECEIVER_WEBHOOK_TOKENS=" + knownToken}, "send", "--job", job).expect(t, 0)
	}
	send("first")
	r.stderr.await(t, `"reason":"other","detail":"127[^"]* answered 410 Gone: thanks","(disabled)":true`)
	send("second")
	until(t, func() bool { return strings.Contains(targets(0).stdout, "forward-crm  disabled  2") })
	contains(t, "list", targets(0).stdout, "NAME         STATE     PARKED\n", "answered 410 Gone: thanks")
	contains(t, "list", targets(0, "--json").stdout, `"enabled": false`, `"parked": 2`)
	contains(t, "stderr", targets(2, "enable", "forward-crn").stderr, "there is no target forward-crn; there is forward-crm")
	if n := verified.Load(); n != 1 {
		t.Errorf("%d calls to a target that is gone", n)
	}
	status.Store(http.StatusOK)
	if got := targets(0, "enable", "forward-crm"); got.stdout != "forward-crm is enabled\n" {
		t.Errorf("got %q", got.stdout)
	}
	until(t, func() bool { return verified.Load() == 3 })
	until(t, func() bool { return strings.Contains(targets(0).stdout, "forward-crm  enabled   0\n") })
	contains(t, "answer", targets(0, "enable", "forward-crm").stdout, "was enabled already")
	contains(t, "answer", targets(0, "disable", "forward-crm").stdout, "forward-crm is disabled")
	contains(t, "list", targets(0).stdout, "disabled  0", "disabled by a person")
}

// until waits until is says so.
func until(t *testing.T, ok func() bool) {
	t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-look.C:
		case <-deadline:
			t.Fatal("it never came to that")
		}
	}
}
