package forward_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/rs/zerolog"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// signed is a call, and whether it is valid for a consumer with this secret.
type signed struct {
	Name    string            `json:"name"`
	Secret  string            `json:"secret"`
	Payload string            `json:"payload"`
	Headers map[string]string `json:"headers"`
	Valid   bool              `json:"valid"`
}

// verifiable returns a call with the payload that Receiver-Signed names.
func verifiable(t *testing.T, name, secret string, c call, valid bool) signed {
	t.Helper()
	s := signed{Name: name, Secret: secret, Payload: string(c.body), Valid: valid, Headers: map[string]string{}}
	for header := range c.header {
		s.Headers[header] = c.header.Get(header)
	}
	switch c.header.Get("Receiver-Signed") {
	case "part event":
		_, files := parts(t, c)
		s.Payload = string(files[0])
	case "header Receiver-Event":
		s.Payload = c.header.Get("Receiver-Event")
	}
	return s
}

// history makes calls over a retry, two rotations of secrets and a replay, in every mode.
func history(t *testing.T) []signed {
	t.Helper()
	fx := newFixture(t, zerolog.Nop())
	var all []signed
	for _, mode := range []string{"event", "image", "raw"} {
		fail := true
		target := newTarget(t, func(w http.ResponseWriter, _ *http.Request) {
			if fail {
				fail = false
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		})
		e, _ := fx.event(t, fakevendortest.JobOptions{Data: json.RawMessage(`{"prompt":"Größe 😀   \u0000"}`)})
		for _, secrets := range [][]string{{whsec("a")}, {whsec("a")}, {whsec("b"), whsec("a")}, {whsec("b")}} {
			config := to(target.URL)
			config.Mode, config.Secrets = mode, list(secrets...)
			_, err := fx.open(t, config).Handle(t.Context(), e)
			if first := len(target.got()) == 1; first != (err != nil) {
				t.Fatalf("%s: error = %v, want one of the first call only", mode, err)
			}
		}
		calls := target.got()
		for n, knows := range []struct{ a, b bool }{{true, false}, {true, false}, {true, true}, {false, true}} {
			all = append(all,
				verifiable(t, mode, whsec("a"), calls[n], knows.a),
				verifiable(t, mode, whsec("b"), calls[n], knows.b),
				verifiable(t, mode, whsec("c"), calls[n], false))
			if id := calls[n].header.Get("Webhook-Id"); id != string(e.ID) {
				t.Errorf("%s: id of call %d = %q, want %q", mode, n, id, e.ID)
			}
		}
		changed := verifiable(t, mode+" changed", whsec("a"), calls[0], false)
		changed.Payload = strings.Replace(changed.Payload, `"job":"`, `"job":"x`, 1)
		all = append(all, changed)
	}
	return all
}

func TestSignaturesWithTheLibraryForGo(t *testing.T) {
	t.Parallel()
	for _, s := range history(t) {
		webhook, err := standardwebhooks.NewWebhook(s.Secret)
		must(t, err)
		header := http.Header{}
		for name, value := range s.Headers {
			header.Set(name, value)
		}
		if err := webhook.Verify([]byte(s.Payload), header); (err == nil) != s.Valid {
			t.Errorf("%s with the secret %s: error = %v, want valid %t", s.Name, s.Secret, err, s.Valid)
		}
	}
}

// modulesVariable names the folder with the npm package standardwebhooks; .ci/with-servers sets it.
const modulesVariable = "TEST_STANDARDWEBHOOKS"

func TestSignaturesWithTheLibraryForNode(t *testing.T) {
	t.Parallel()
	modules := os.Getenv(modulesVariable)
	node, err := exec.LookPath("node")
	if modules == "" || err != nil {
		const missing = "NOT VERIFIED with the npm package: node is needed, and " + modulesVariable + " as .ci/with-servers sets it"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	all := history(t)
	calls, err := json.Marshal(all)
	must(t, err)
	command := exec.CommandContext(t.Context(), node, "-e", `
		const { Webhook } = require("standardwebhooks");
		const calls = JSON.parse(require("fs").readFileSync(0, "utf8"));
		console.log(JSON.stringify(calls.map(({ secret, payload, headers }) => {
			try {
				return new Webhook(secret).verify(payload, headers).id;
			} catch (e) {
				return e.constructor.name;
			}
		})));`)
	command.Env = append(os.Environ(), "NODE_PATH="+modules)
	command.Stdin = bytes.NewReader(calls)
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("node: error = %v, want none:\n%s", err, output)
	}
	var results []string
	must(t, json.Unmarshal(output, &results))
	for n, s := range all {
		want := "WebhookVerificationError"
		if s.Valid {
			want = s.Headers["Webhook-Id"]
		}
		if results[n] != want {
			t.Errorf("%s with the secret %s: %s, want %s", s.Name, s.Secret, results[n], want)
		}
	}
}

// The timestamp of a call is that of the attempt, not of the event.
func TestTimestamp(t *testing.T) {
	t.Parallel()
	fx, target := newFixture(t, zerolog.Nop()), newTarget(t, nil)
	config := to(target.URL)
	config.Secrets = list(whsec("a"))
	h := fx.open(t, config)
	e, _ := fx.event(t, fakevendortest.JobOptions{})
	e.Received = time.Now().Add(-24 * time.Hour)
	_, err := h.Handle(t.Context(), e)
	must(t, err)
	webhook, err := standardwebhooks.NewWebhook(whsec("a"))
	must(t, err)
	c := target.the(t)
	if err := webhook.Verify(c.body, c.header); err != nil {
		t.Error(err)
	}
}
