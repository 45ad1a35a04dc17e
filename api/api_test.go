package api_test

import (
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/api"
	"github.com/deepimage-receiver/receiver/api/apitest"
)

func TestExamplesAreCallbacks(t *testing.T) {
	t.Parallel()
	document := apitest.Load(t)
	examples, err := api.Examples()
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(examples, "*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 26 {
		t.Errorf("there are %d examples, fewer than the vendor's documentation has requests", len(names))
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := fs.ReadFile(examples, name)
			if err != nil {
				t.Fatal(err)
			}
			if err := document.ValidateCallback(decode(t, string(text))); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCallbackSchema(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name, body string
		valid      bool
	}{
		{"job only", `{"job":"a"}`, true},
		{"nulls", `{"job":"a","data":null,"result_url":null,"results":null}`, true},
		{"empty address", `{"job":"a","result_url":""}`, true},
		{"results as a list", `{"job":"a","results":["https://deep-image.ai/a.png"]}`, true},
		{"results as a map", `{"job":"a","results":{"small":{"url":"https://deep-image.ai/a.png"}}}`, true},
		{"data as text", `{"job":"a","data":"x"}`, true},
		{"unknown keys", `{"job":"a","later":{"more":[1]}}`, true},
		{"no job", `{"result_url":"https://deep-image.ai/a.png"}`, false},
		{"empty job", `{"job":""}`, false},
		{"long job", `{"job":"` + strings.Repeat("a", 257) + `"}`, false},
		{"job as a number", `{"job":7}`, false},
		{"job as null", `{"job":null}`, false},
		{"address as a number", `{"job":"a","result_url":7}`, false},
		{"address as a list", `{"job":"a","result_url":[]}`, false},
		{"long address", `{"job":"a","result_url":"https://` + strings.Repeat("a", 8192) + `"}`, false},
		{"a list", `[]`, false},
		{"text", `"job"`, false},
		{"null", `null`, false},
	}
	document := apitest.Load(t)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if err := document.ValidateCallback(decode(t, row.body)); (err == nil) != row.valid {
				t.Errorf("valid is %t, want %t: %v", err == nil, row.valid, err)
			}
		})
	}
}

func decode(t *testing.T, text string) any {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// What the tests of the door rely on: an answer that is not specified is noticed.
func TestAnswersAreHeldAgainstTheSpecification(t *testing.T) {
	t.Parallel()
	const (
		id        = "4ZQ3YPHD6SUXWTHUJ7SR4MHAQB"
		problem   = "application/problem+json"
		forbidden = `{"type":"urn:deepimage-receiver:problem:forbidden","title":"t","status":403,"detail":"d","request_id":"` + id + `"}`
		busy      = `{"type":"urn:deepimage-receiver:problem:unavailable","title":"t","status":503,"detail":"d","request_id":"` + id + `"}`
		receipt   = `{"id":"0192e4a4-7c1b-7d5e-9c3f-2f6d1f0a4b11","job":"a","status":"accepted"}`
	)
	rows := []struct {
		name, method, path string
		status             int
		contentType, body  string
		header             http.Header
		valid              bool
	}{
		{"accepted", "POST", "/webhooks/deep-image", 200, "application/json", receipt, nil, true},
		{"accepted, token in the path", "POST", "/webhooks/deep-image/t%2F", 200, "application/json", receipt, nil, true},
		{"live", "GET", "/livez", 200, "application/json", `{"status":"ok"}`, nil, true},
		{"head", "HEAD", "/livez", 200, "application/json", ``, nil, true},
		{"problem", "POST", "/webhooks/deep-image", 403, problem, forbidden, nil, true},
		{"unavailable", "POST", "/webhooks/deep-image", 503, problem, busy, http.Header{"Retry-After": {"7"}}, true},
		{"other media type", "POST", "/webhooks/deep-image", 200, "text/html", receipt, nil, false},
		{"one key more", "POST", "/webhooks/deep-image", 200, "application/json", strings.Replace(receipt, "{", `{"x":1,`, 1), nil, false},
		{"unknown status of an event", "POST", "/webhooks/deep-image", 200, "application/json", strings.Replace(receipt, "accepted", "queued", 1), nil, false},
		{"status that is not specified", "POST", "/webhooks/deep-image", 202, "application/json", receipt, nil, false},
		{"problem of another status", "POST", "/webhooks/deep-image", 401, problem, forbidden, nil, false},
		{"problem without its type", "POST", "/webhooks/deep-image", 403, problem, strings.Replace(forbidden, "type", "kind", 1), nil, false},
		{"no Retry-After", "POST", "/webhooks/deep-image", 503, problem, busy, nil, false},
		{"Retry-After of a day", "POST", "/webhooks/deep-image", 503, problem, busy, http.Header{"Retry-After": {"86400"}}, false},
		{"no request id", "GET", "/livez", 200, "application/json", `{"status":"ok"}`, http.Header{"X-Request-Id": nil}, false},
		{"not found where there is a path", "GET", "/livez", 404, problem, strings.ReplaceAll(forbidden, "forbidden", "not_found"), nil, false},
		{"found where there is no path", "GET", "/", 200, "application/json", `{}`, nil, false},
	}
	document := apitest.Load(t)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			response := &http.Response{
				StatusCode: row.status,
				Header:     http.Header{"Content-Type": {row.contentType}, "X-Request-Id": {id}},
				Body:       io.NopCloser(strings.NewReader(row.body)),
			}
			maps.Copy(response.Header, row.header)
			err := document.Validate(row.method, row.path, response)
			if (err == nil) != row.valid {
				t.Errorf("valid is %t, want %t: %v", err == nil, row.valid, err)
			}
			if body, err := io.ReadAll(response.Body); err != nil || string(body) != row.body {
				t.Errorf("the body read %q afterwards, %v", body, err)
			}
		})
	}
}
