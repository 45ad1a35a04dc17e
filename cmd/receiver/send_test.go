package main_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
)

func TestSendPrintsWhatTheReceiverSays(t *testing.T) {
	t.Parallel()
	r := start(t, t.TempDir(), "RECEIVER_WEBHOOK_TOKENS="+knownToken)
	rows := []struct {
		name  string
		args  string
		stdin string
		code  int
		want  string // regular expression of the whole output
	}{
		{"sample", "", "", 0, `accepted  id [0-9a-f-]{36}  job [0-9a-f]{8}-[0-9a-f]{4}-1[0-9a-f]{3}-[0-9a-f-]{17}`},
		{"job", "--job mine-1", "", 0, `accepted  id \S+  job mine-1`},
		{"repeated", "--job mine-2 --repeat 3", "", 0, `accepted  id (\S+)  job mine-2\n(duplicate  id \S+  job mine-2\n?){2}`},
		{"without result", "--job mine-3 --result-url=", "", 0, `accepted .*`},
		{"data", "--job mine-4 --data -", `{"url":"https://example.com/a.png"}`, 0, `accepted .*`},
		{"results", "--job mine-5 --results -", `["https://example.com/a.png"]`, 0, `accepted .*`},
		{"body", "--body -", `{"job":"mine-6"}`, 0, `accepted  id \S+  job mine-6`},
		{"job for a terminal", "--body -", `{"job":"mine-7\u009b2J"}`, 1, `422 .*(\n  .*)*`},
		{"no JSON", "--body -", `{"job":`, 1, `400 Bad Request: .*`},
		{"no event", "--body -", `{"job":7}`, 1, `422 Unprocessable Entity: .*\n  /job .*`},
		{"empty", "--body -", ``, 1, `400 Bad Request: .*`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := receiver(t, call{
				args:  append([]string{"send"}, strings.Fields(row.args)...),
				env:   []string{r.listening(), "RECEIVER_WEBHOOK_TOKENS=" + knownToken},
				stdin: row.stdin,
			}).expect(t, row.code)
			if !regexp.MustCompile(`^` + row.want + `\n?$`).MatchString(got.stdout) {
				t.Errorf("got %q, want %s", got.stdout, row.want)
			}
			if (got.stderr == "") != (row.code == 0) || strings.Contains(got.stdout+got.stderr, "hunter2") {
				t.Errorf("stderr is %q", got.stderr)
			}
		})
	}
}

func TestSendTellsPrograms(t *testing.T) {
	t.Parallel()
	r := start(t, t.TempDir(), "RECEIVER_WEBHOOK_TOKENS="+knownToken)
	env := []string{r.listening(), "RECEIVER_WEBHOOK_TOKENS=" + knownToken}
	got := run(t, env, "send", "--json", "--job", "j", "--repeat", "2").expect(t, 0)
	decoder := json.NewDecoder(strings.NewReader(got.stdout))
	for _, want := range []string{"accepted", "duplicate"} {
		var said struct {
			Code   int
			Answer struct{ ID, Job, Status string }
		}
		if err := decoder.Decode(&said); err != nil {
			t.Fatal(err)
		}
		if said.Code != 200 || said.Answer.Job != "j" || said.Answer.Status != want || said.Answer.ID == "" {
			t.Errorf("got %+v, want %s", said, want)
		}
	}
	wrong := []string{r.listening(), "RECEIVER_WEBHOOK_TOKENS=wrong-" + knownToken}
	refused := run(t, wrong, "send", "--json").expect(t, 1)
	contains(t, "answer", refused.stdout, `"code": 401`, `"title"`)
	contains(t, "stderr", refused.stderr, "1 of 1 callbacks were not accepted")
}

// What send makes is a callback as Deep Image documents it, and holds what it was told to.
func TestSendMakesADocumentedCallback(t *testing.T) {
	t.Parallel()
	bodies, tokens := make(chan []byte, 1), make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- body
		tokens <- r.URL.Path + " " + r.Header.Get("Authorization")
	}))
	defer server.Close()
	folder := t.TempDir()
	data, results := filepath.Join(folder, "data"), filepath.Join(folder, "results")
	for path, content := range map[string]string{data: `{"a": 1e400}`, results: `[ "https://example.com/a.png" ]`} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, []string{"RECEIVER_WEBHOOK_TOKENS=" + knownToken}, "send", "--url", server.URL+"/base/",
		"--job", "j", "--result-url", "https://example.com/r.png", "--data", data, "--results", results).expect(t, 0)
	if got, want := <-tokens, "/base/webhooks/deep-image Bearer "+knownToken; got != want {
		t.Errorf("sent to %q, want %q", got, want)
	}
	decoded, err := event.Decode(<-bodies)
	if err != nil {
		t.Fatal(err)
	}
	if decoded.Job != "j" || decoded.ResultURL != "https://example.com/r.png" ||
		string(decoded.Data) != `{"a":1e400}` || string(decoded.Results) != `["https://example.com/a.png"]` {
		t.Errorf("got %s", decoded.Body)
	}
}

func TestSendKeepsTheTokenToItself(t *testing.T) {
	t.Parallel()
	moved := httptest.NewServer(http.RedirectHandler("http://127.0.0.1:1/elsewhere", http.StatusTemporaryRedirect))
	t.Cleanup(moved.Close)
	broken := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(broken.Close)
	hostile := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"status":"\u001b[2J"}`)
	}))
	t.Cleanup(hostile.Close)
	rows := []struct {
		name string
		url  string
		code int
		want string
	}{
		{"redirect is not followed", moved.URL, 1, "307 Temporary Redirect"},
		{"connection breaks", broken.URL, 1, "no answer from 127.0.0.1"},
		{"nobody listens", "http://127.0.0.1:1", 1, "connection refused"},
		{"host is no host", "http://a b", 2, "--url must be a whole URL"},
		{"answer for a terminal", hostile.URL, 0, `\x1b[2J`},
	}
	for _, row := range rows {
		for _, path := range []string{"", "/webhooks/deep-image/" + knownToken, "?token=" + knownToken} {
			t.Run(row.name+" "+path, func(t *testing.T) {
				t.Parallel()
				got := run(t, []string{"RECEIVER_WEBHOOK_TOKENS=" + knownToken}, "send", "--url", row.url+path).expect(t, row.code)
				contains(t, "output", got.stdout+got.stderr, row.want)
				if strings.Contains(got.stdout+got.stderr, "hunter2") || strings.Contains(got.stdout, "\x1b") {
					t.Errorf("got %q %q", got.stdout, got.stderr)
				}
			})
		}
	}
}

func TestSendGivesUpInTime(t *testing.T) {
	t.Parallel()
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	defer hangs.Close()
	got := run(t, []string{"RECEIVER_WEBHOOK_TOKENS=" + knownToken}, "send", "--url", hangs.URL, "--timeout", "50ms").expect(t, 1)
	contains(t, "stderr", got.stderr, "deadline exceeded")
}
