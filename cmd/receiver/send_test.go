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

func TestSend(t *testing.T) {
	t.Parallel()
	r := start(t, t.TempDir(), "RECEIVER_WEBHOOK_TOKENS="+knownToken)
	for _, row := range []struct {
		name  string
		args  string
		stdin string
		code  int
		want  string // regular expression of the whole output
	}{
		{name: "sample", want: `accepted  id [0-9a-f-]{36}  job [0-9a-f]{8}-[0-9a-f]{4}-1[0-9a-f]{3}-[0-9a-f-]{17}`},
		{name: "job", args: "--job mine-1", want: `accepted  id \S+  job mine-1`},
		{name: "repeated", args: "--job mine-2 --repeat 3", want: `accepted  id (\S+)  job mine-2\n(duplicate  id \S+  job mine-2\n?){2}`},
		{name: "without result", args: "--job mine-3 --result-url=", want: `accepted .*`},
		{name: "data", args: "--job mine-4 --data -", stdin: `{"url":"https://example.com/a.png"}`, want: `accepted .*`},
		{name: "results", args: "--job mine-5 --results -", stdin: `["https://example.com/a.png"]`, want: `accepted .*`},
		{name: "body", args: "--body -", stdin: `{"job":"mine-6"}`, want: `accepted  id \S+  job mine-6`},
		{name: "job with a control character", args: "--body -", stdin: `{"job":"mine-7\u009b2J"}`, code: 1, want: `422 .*(\n  .*)*`},
		{name: "truncated JSON", args: "--body -", stdin: `{"job":`, code: 1, want: `400 .*`},
		{name: "not an event", args: "--body -", stdin: `{"job":7}`, code: 1, want: `422 .*\n  /job .*`},
		{name: "empty", args: "--body -", code: 1, want: `400 .*`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := receiver(t, call{
				args:  append([]string{"send"}, strings.Fields(row.args)...),
				env:   []string{r.listening(), "RECEIVER_WEBHOOK_TOKENS=" + knownToken},
				stdin: row.stdin,
			}).expect(t, row.code)
			if !regexp.MustCompile(`^` + row.want + `\n?$`).MatchString(got.stdout) {
				t.Errorf("stdout = %q, want %s", got.stdout, row.want)
			}
			if (got.stderr == "") != (row.code == 0) || strings.Contains(got.stdout+got.stderr, "hunter2") {
				t.Errorf("stderr = %q, want a message only for exit code %d, and no secret", got.stderr, row.code)
			}
		})
	}
}

func TestSendAsJSON(t *testing.T) {
	t.Parallel()
	r := start(t, t.TempDir(), "RECEIVER_WEBHOOK_TOKENS="+knownToken)
	env := []string{r.listening(), "RECEIVER_WEBHOOK_TOKENS=" + knownToken}
	got := run(t, env, "send", "--json", "--job", "j", "--repeat", "2").expect(t, 0)
	decoder := json.NewDecoder(strings.NewReader(got.stdout))
	for _, want := range []string{"accepted", "duplicate"} {
		var answer struct {
			Code   int
			Answer struct{ ID, Job, Status string }
		}
		if err := decoder.Decode(&answer); err != nil {
			t.Fatal(err)
		}
		if answer.Code != 200 || answer.Answer.Job != "j" || answer.Answer.Status != want || answer.Answer.ID == "" {
			t.Errorf("answer = %+v, want 200, job j and status %s", answer, want)
		}
	}
	wrong := []string{r.listening(), "RECEIVER_WEBHOOK_TOKENS=wrong-" + knownToken}
	refused := run(t, wrong, "send", "--json").expect(t, 1)
	contains(t, "answer", refused.stdout, `"code": 401`, `"title"`)
}

// The callback has the documented format and the values of the flags.
func TestSendBuildsDocumentedCallback(t *testing.T) {
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
		t.Errorf("request = %q, want %q", got, want)
	}
	decoded, err := event.Decode(<-bodies)
	if err != nil {
		t.Fatal(err)
	}
	if decoded.Job != "j" || decoded.ResultURL != "https://example.com/r.png" ||
		string(decoded.Data) != `{"a":1e400}` || string(decoded.Results) != `["https://example.com/a.png"]` {
		t.Errorf("body = %s, want the values of the flags", decoded.Body)
	}
}

func TestSendHidesToken(t *testing.T) {
	t.Parallel()
	moved := httptest.NewServer(http.RedirectHandler("http://127.0.0.1:1/elsewhere", http.StatusTemporaryRedirect))
	t.Cleanup(moved.Close)
	broken := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(broken.Close)
	hostile := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"status":"\u001b[2J"}`)
	}))
	t.Cleanup(hostile.Close)
	for _, row := range []struct {
		name string
		url  string
		code int
		want string // in the output
	}{
		{name: "redirect", url: moved.URL, code: 1, want: "307"},
		{name: "broken connection", url: broken.URL, code: 1, want: "127.0.0.1"},
		{name: "connection refused", url: "http://127.0.0.1:1", code: 1, want: "127.0.0.1:1"},
		{name: "malformed host", url: "http://a b", code: 2, want: "--url"},
		{name: "answer with control characters", url: hostile.URL, code: 0, want: `\x1b[2J`},
	} {
		for _, path := range []string{"", "/webhooks/deep-image/" + knownToken, "?token=" + knownToken} {
			t.Run(row.name+" "+path, func(t *testing.T) {
				t.Parallel()
				got := run(t, []string{"RECEIVER_WEBHOOK_TOKENS=" + knownToken}, "send", "--url", row.url+path).expect(t, row.code)
				contains(t, "output", got.stdout+got.stderr, row.want)
				if strings.Contains(got.stdout+got.stderr, "hunter2") || strings.Contains(got.stdout, "\x1b") {
					t.Errorf("output = %q %q, want neither the token nor control characters", got.stdout, got.stderr)
				}
			})
		}
	}
}

func TestSendTimesOut(t *testing.T) {
	t.Parallel()
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	defer hangs.Close()
	run(t, []string{"RECEIVER_WEBHOOK_TOKENS=" + knownToken}, "send", "--url", hangs.URL, "--timeout", "50ms").expect(t, 1)
}
