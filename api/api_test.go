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
		t.Errorf("%d examples, want at least the 26 requests of the vendor's documentation", len(names))
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
		{name: "job only", body: `{"job":"a"}`, valid: true},
		{name: "nulls", body: `{"job":"a","data":null,"result_url":null,"results":null}`, valid: true},
		{name: "empty address", body: `{"job":"a","result_url":""}`, valid: true},
		{name: "results as a list", body: `{"job":"a","results":["https://deep-image.ai/a.png"]}`, valid: true},
		{name: "results as a map", body: `{"job":"a","results":{"small":{"url":"https://deep-image.ai/a.png"}}}`, valid: true},
		{name: "data as text", body: `{"job":"a","data":"x"}`, valid: true},
		{name: "unknown keys", body: `{"job":"a","later":{"more":[1]}}`, valid: true},
		{name: "no job", body: `{"result_url":"https://deep-image.ai/a.png"}`},
		{name: "empty job", body: `{"job":""}`},
		{name: "long job", body: `{"job":"` + strings.Repeat("a", 257) + `"}`},
		{name: "job as a number", body: `{"job":7}`},
		{name: "job as null", body: `{"job":null}`},
		{name: "address as a number", body: `{"job":"a","result_url":7}`},
		{name: "address as a list", body: `{"job":"a","result_url":[]}`},
		{name: "long address", body: `{"job":"a","result_url":"https://` + strings.Repeat("a", 8192) + `"}`},
		{name: "a list", body: `[]`},
		{name: "text", body: `"job"`},
		{name: "null", body: `null`},
	}
	document := apitest.Load(t)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if err := document.ValidateCallback(decode(t, row.body)); (err == nil) != row.valid {
				t.Errorf("valid = %t, want %t: %v", err == nil, row.valid, err)
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

// Other tests rely on it: a response that is not specified is an error.
func TestValidateChecksResponses(t *testing.T) {
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
		{name: "accepted", method: "POST", path: "/webhooks/deep-image", status: 200, contentType: "application/json", body: receipt, valid: true},
		{name: "accepted, token in the path", method: "POST", path: "/webhooks/deep-image/t%2F", status: 200, contentType: "application/json", body: receipt, valid: true},
		{name: "live", method: "GET", path: "/livez", status: 200, contentType: "application/json", body: `{"status":"ok"}`, valid: true},
		{name: "head", method: "HEAD", path: "/livez", status: 200, contentType: "application/json", valid: true},
		{name: "problem", method: "POST", path: "/webhooks/deep-image", status: 403, contentType: problem, body: forbidden, valid: true},
		{name: "unavailable", method: "POST", path: "/webhooks/deep-image", status: 503, contentType: problem, body: busy, header: http.Header{"Retry-After": {"7"}}, valid: true},
		{name: "other media type", method: "POST", path: "/webhooks/deep-image", status: 200, contentType: "text/html", body: receipt},
		{name: "one key more", method: "POST", path: "/webhooks/deep-image", status: 200, contentType: "application/json", body: strings.Replace(receipt, "{", `{"x":1,`, 1)},
		{name: "unknown status of an event", method: "POST", path: "/webhooks/deep-image", status: 200, contentType: "application/json", body: strings.Replace(receipt, "accepted", "queued", 1)},
		{name: "status that is not specified", method: "POST", path: "/webhooks/deep-image", status: 202, contentType: "application/json", body: receipt},
		{name: "problem of another status", method: "POST", path: "/webhooks/deep-image", status: 401, contentType: problem, body: forbidden},
		{name: "problem without its type", method: "POST", path: "/webhooks/deep-image", status: 403, contentType: problem, body: strings.Replace(forbidden, "type", "kind", 1)},
		{name: "no Retry-After", method: "POST", path: "/webhooks/deep-image", status: 503, contentType: problem, body: busy},
		{name: "Retry-After of a day", method: "POST", path: "/webhooks/deep-image", status: 503, contentType: problem, body: busy, header: http.Header{"Retry-After": {"86400"}}},
		{name: "no request id", method: "GET", path: "/livez", status: 200, contentType: "application/json", body: `{"status":"ok"}`, header: http.Header{"X-Request-Id": nil}},
		{name: "not found where there is a path", method: "GET", path: "/livez", status: 404, contentType: problem, body: strings.ReplaceAll(forbidden, "forbidden", "not_found")},
		{name: "found where there is no path", method: "GET", path: "/", status: 200, contentType: "application/json", body: `{}`},
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
				t.Errorf("valid = %t, want %t: %v", err == nil, row.valid, err)
			}
			if body, err := io.ReadAll(response.Body); err != nil || string(body) != row.body {
				t.Errorf("body afterwards = %q, error %v; want %q", body, err, row.body)
			}
		})
	}
}
