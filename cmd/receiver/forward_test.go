package main_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/deepimage-receiver/receiver/internal/testkit"
)

var signingSecret = "whsec_" + base64.StdEncoding.EncodeToString([]byte("hunter2hunter2hunter2hunter2"))

// endpoint verifies signatures and answers with a status.
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

// lines writes a file with these lines.
func lines(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lines")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSendToForward(t *testing.T) {
	t.Parallel()
	good, verified := endpoint(t, answering(200))
	bad, _ := endpoint(t, answering(400))
	signed := "RECEIVER_FORWARD_SECRETS=" + signingSecret
	for _, row := range []struct {
		name string
		env  []string
		args string
		code int
		want string // regular expression of the whole output
	}{
		{name: "good", env: []string{signed, "RECEIVER_FORWARD_URLS=a=" + good}, want: `forward-a  ok  \d+ ms  127\.0\.0\.1:\d+ .*200.*thanks.*\n`},
		{name: "URL on the command line", env: []string{signed}, args: "--url " + good, want: `forward-127-0-0-1-\S+  ok  .*\n`},
		{name: "document in every mode", env: []string{signed, "RECEIVER_FORWARD_MODE=image"}, args: "--url " + good, want: `\S+  ok  .*\n`},
		{name: "own callback", env: []string{signed}, args: "--job mine --result-url= --url " + good, want: `\S+  ok  .*\n`},
		{
			name: "one of two", env: []string{signed, "RECEIVER_FORWARD_URLS=a=" + bad + ",b=" + good},
			code: 1, want: `forward-a  failed  .*400.*thanks.*\nforward-b  ok  .*\n`,
		},
		{
			name: "E7 comma and query in an address", env: []string{signed, "RECEIVER_FORWARD_URLS=a=" + good + "?to=1,2,b=" + good + "?x=y"},
			want: `forward-a  ok  .*\nforward-b  ok  .*\n`,
		},
		{name: "E7 scheme in capitals", env: []string{signed, "RECEIVER_FORWARD_URLS=a=" + good + "?to=1,b=HTTP" + strings.TrimPrefix(good, "http")}, code: 2},
		{name: "E7 invalid name after a comma", env: []string{signed, "RECEIVER_FORWARD_URLS=a=" + good + ",My_B=" + good}, code: 2},
		{name: "E7 comma at the end", env: []string{signed, "RECEIVER_FORWARD_URLS=a=" + good + ","}, code: 2},
		{
			name: "E7 one address a line in a file", env: []string{signed, "RECEIVER_FORWARD_URLS_FILE=" + lines(t, "a="+good+"?next=1,https://x.test", "b="+good)},
			want: `forward-a  ok  .*\nforward-b  ok  .*\n`,
		},
		{
			name: "E7 comma in a header", env: []string{signed, "RECEIVER_FORWARD_HEADERS=X-Groups: a, b,X-Other: c"}, args: "--url " + good,
			want: `\S+  ok  .*\n`,
		},
		{name: "not signed", args: "--url " + good, code: 1, want: `\S+  failed  .*401.*\n`},
		{name: "connection refused", args: "--url http://127.0.0.1:1/", code: 1, want: `\S+  failed  .*127\.0\.0\.1:1.*\n`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := run(t, row.env, append([]string{"send", "--to", "forward"}, strings.Fields(row.args)...)...).expect(t, row.code)
			if !regexp.MustCompile(`^`+row.want+`$`).MatchString(got.stdout) || strings.Contains(got.stdout+got.stderr, "hunter2") {
				t.Errorf("stdout = %q, want %s without a secret; stderr %s", got.stdout, row.want, got.stderr)
			}
		})
	}
	t.Run("JSON", func(t *testing.T) {
		t.Parallel()
		var result struct {
			Target, ID, Answer string
			OK                 bool
			Milliseconds       float64 `json:"duration_ms"`
		}
		got := run(t, []string{signed}, "send", "--to", "forward", "--json", "--url", good).expect(t, 0)
		if err := json.Unmarshal([]byte(got.stdout), &result); err != nil || !result.OK || result.ID == "" || result.Milliseconds <= 0 {
			t.Errorf("result = %s, error %v, want ok, an id and a duration", got.stdout, err)
		}
	})
	t.Cleanup(func() {
		if verified.Load() < 5 {
			t.Errorf("verified calls = %d, want at least 5", verified.Load())
		}
	})
}

// A target that answers 410 is disabled. When a person enables it, its deferred events are sent within seconds.
func TestTargets(t *testing.T) {
	t.Parallel()
	status := answering(http.StatusGone)
	address, verified := endpoint(t, status)
	env := []string{
		"RECEIVER_WEBHOOK_TOKENS=" + knownToken, "RECEIVER_HANDLERS=forward", "RECEIVER_ADMIN_ADDR=" + testkit.FreeAddress(t),
		"RECEIVER_FORWARD_URLS=crm=" + address, "RECEIVER_FORWARD_SECRETS=" + signingSecret,
	}
	folder := t.TempDir()
	targets := func(code int, args ...string) result {
		t.Helper()
		return receiver(t, call{args: append([]string{"targets"}, args...), env: env, folder: folder}).expect(t, code)
	}
	type target struct {
		Enabled  bool
		Deferred int
		Disabled *time.Time `json:"disabled_at"`
	}
	crm := func() target {
		t.Helper()
		var list []struct {
			Name string
			target
		}
		if err := json.Unmarshal([]byte(targets(0, "list", "--json").stdout), &list); err != nil || len(list) != 1 || list[0].Name != "forward-crm" {
			t.Fatalf("targets = %+v, error %v, want only forward-crm", list, err)
		}
		return list[0].target
	}
	targets(1, "list") // there is neither a receiver nor a store
	r := start(t, folder, env...)
	send := func(job string) {
		t.Helper()
		run(t, []string{r.listening(), "RECEIVER_WEBHOOK_TOKENS=" + knownToken}, "send", "--job", job).expect(t, 0)
	}
	send("first")
	until(t, func() bool { return !crm().Enabled })
	send("second")
	until(t, func() bool { return crm().Deferred == 2 })
	if got := crm(); got.Disabled == nil {
		t.Errorf("target = %+v, want the time since when it is disabled", got)
	}
	targets(2, "enable", "forward-crn")
	if got := verified.Load(); got != 1 {
		t.Errorf("calls of the target = %d, want 1", got)
	}

	status.Store(http.StatusOK)
	targets(0, "enable", "forward-crm")
	until(t, func() bool { return verified.Load() == 3 })
	until(t, func() bool { return crm() == target{Enabled: true} })
	targets(0, "enable", "forward-crm")
	status.Store(http.StatusNotFound)
	send("third")
	until(t, func() bool { return crm().Deferred == 1 })
	var dropped struct{ Steps int }
	until(t, func() bool { // the step is deferred between its attempts only
		out := targets(0, "drop", "forward-crm", "--json").stdout
		return json.Unmarshal([]byte(out), &dropped) == nil && dropped.Steps == 1
	})
	targets(1, "keep", "forward-crm") // it is configured
	targets(2, "drop", "forward-crn")
	until(t, func() bool { return crm() == target{Enabled: true} })
	targets(0, "disable", "forward-crm")

	r.stop(t, syscall.SIGTERM).expect(t, 0)
	if got := crm(); got.Enabled {
		t.Errorf("offline target = %+v, want it disabled", got)
	}
	targets(0, "enable", "forward-crm")
	if got := crm(); !got.Enabled {
		t.Errorf("offline target = %+v, want it enabled", got)
	}
	contains(t, "list", targets(0, "list").stdout, "NAME ", "\nforward-crm ")
}

// until waits until ok returns true.
func until(t *testing.T, ok func() bool) {
	t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(processTimeout)
	for !ok() {
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("condition is false after %s, want true", processTimeout)
		}
	}
}
