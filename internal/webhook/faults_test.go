package webhook_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// TestSectionA sends the inputs of section A of the list of faults that were found from outside. Each row has the number of its fault.
func TestSectionA(t *testing.T) {
	t.Parallel()
	const path = event.WebhookPath + "/" + token
	rows := []struct {
		name, path string
		header     http.Header
		body       string
		want       int
		defects    int    // of the stored event
		stored     string // body of the stored event; body if empty
	}{
		{name: "A1 half a surrogate pair", body: `{"job":"$","data":{"description":"summer sale \ud83d"},"result_url":"https://h/a.png"}`, want: 200, defects: 1},
		{name: "A1 raw surrogate", body: "{\"job\":\"$\",\"data\":{\"description\":\"\xed\xa0\xbd\"}}", want: 200, defects: 1},
		{name: "A1 Latin-1 byte", body: "{\"job\":\"$\",\"data\":{\"name\":\"M\xfcller\"}}", want: 200, defects: 1},
		{name: "A1 Latin-1 byte in a name", body: "{\"job\":\"$\",\"M\xfcller\":1}", want: 200, defects: 1},
		{name: "A1 NaN", body: `{"job":"$","data":{"light_parameters":{"level":NaN}},"results":null}`, want: 200, defects: 1},
		{name: "A1 minus infinity", body: `{"job":"$","data":[-Infinity,Infinity]}`, want: 200, defects: 2},
		{name: "A1 byte order mark", body: "\xef\xbb\xbf{\"job\":\"$\",\"data\":{}}", want: 200, defects: 1},
		{name: "A1 duplicate in data", body: `{"job":"$","data":{"width":100,"width":200}}`, want: 200, defects: 1},
		{name: "A1 duplicate unknown member", body: `{"job":"$","x":1,"x":2}`, want: 200, defects: 1},
		{name: "A1 deep nesting in data", body: `{"job":"$","data":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`, want: 200, defects: 1},
		{name: "A1 many tokens in data", body: `{"job":"$","data":[` + strings.Repeat("0,", 30_000) + `0]}`, want: 200},
		{name: "A1 half a surrogate pair in job", body: `{"job":"$\ud83d"}`, want: 400},
		{name: "A1 Latin-1 byte in result_url", body: "{\"job\":\"$\",\"result_url\":\"https://h/M\xfcller.png\"}", want: 400},
		{name: "A1 NaN in results", body: `{"job":"$","results":[NaN]}`, want: 400},
		{name: "A1 duplicate job", body: `{"job":"$","job":"$"}`, want: 400},
		{name: "A1 duplicate in results", body: `{"job":"$","results":{"url":"https://h/a","url":"https://h/b"}}`, want: 400},
		{name: "A4 trailing slash", path: path + "/", body: `{"job":"$"}`, want: 200},
		{name: "A4 trailing slash and query token", path: event.WebhookPath + "/?token=" + token, body: `{"job":"$"}`, want: 200},
		{name: "A4 trailing slash and Bearer", path: event.WebhookPath + "//", header: bearer(token), body: `{"job":"$"}`, want: 200},
		{name: "A4 doubled slash", path: "/" + path, body: `{"job":"$"}`, want: 200},
		{name: "A4 doubled slashes everywhere", path: strings.ReplaceAll(path, "/", "//") + "//", body: `{"job":"$"}`, want: 200},
		{name: "A4 encoded token and slash", path: "/" + event.WebhookPath + "/" + url.PathEscape(newToken) + "/", body: `{"job":"$"}`, want: 200},
	}
	server := start(t, defaults())
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			job := strings.ReplaceAll(row.name, " ", "-")
			body := strings.ReplaceAll(row.body, "$", job)
			target := path
			if row.path != "" {
				target = row.path
			}
			response, text := server.send(t, http.MethodPost, target, row.header, strings.NewReader(body))
			if response.StatusCode != row.want {
				t.Fatalf("status = %d %s, want %d", response.StatusCode, text, row.want)
			}
			want := body
			if row.stored != "" {
				want = strings.ReplaceAll(row.stored, "$", job)
			}
			events, rejected := server.inbox.kept()
			if row.want != http.StatusOK {
				for _, r := range rejected {
					if string(r.Body) == want {
						return
					}
				}
				t.Fatalf("got no rejection with the body %q", want)
			}
			for _, e := range events {
				if e.Job != job {
					continue
				}
				if string(e.Body) != want || len(e.Defects) != row.defects {
					t.Errorf("body, defects = %q, %v, want %q, %d of them", e.Body, e.Defects, want, row.defects)
				}
				return
			}
			t.Errorf("got no event of job %s, want one", job)
		})
	}
}
