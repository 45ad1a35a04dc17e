package deepimage_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
)

// TestParseResult has the responses that the fake vendor does not send.
func TestParseResult(t *testing.T) {
	t.Parallel()
	client := newClient(t, "http://127.0.0.1:1", deepimage.Config{})
	const complete = `{"status":"complete","job":"J","result_url":"https://x.test/a.png"}`
	for name, row := range map[string]struct {
		status int
		body   string
		state  deepimage.State // "" is a failure of kind
		kind   deepimage.Kind
	}{
		"complete":               {status: 200, body: complete, state: deepimage.Complete},
		"id in capitals":         {status: 200, body: strings.Replace(complete, "J", "j", 1), state: deepimage.Complete},
		"no id":                  {status: 200, body: `{"status":"complete","result_url":"https://x.test/a.png"}`, state: deepimage.Complete},
		"id is a number":         {status: 200, body: `{"status":"complete","job":7,"result_url":"https://x.test/a.png"}`, state: deepimage.Complete},
		"other id":               {status: 200, body: strings.Replace(complete, "J", "K", 1), kind: deepimage.KindUnavailable},
		"other members":          {status: 200, body: `{"x":{"status":"failed"},"status":"complete","job":"J","result_url":"https://x.test/"}`, state: deepimage.Complete},
		"status in capitals":     {status: 200, body: `{"status":"Complete","result_url":"https://x.test/"}`, state: deepimage.Complete},
		"address is a list":      {status: 200, body: `{"status":"complete","job":"J","result_url":["https://x.test/"]}`, state: deepimage.Pending},
		"address is empty":       {status: 200, body: `{"status":"complete","job":"J","result_url":""}`, state: deepimage.Pending},
		"address is too long":    {status: 200, body: `{"status":"complete","result_url":"https://x.test/` + strings.Repeat("x", 8192) + `"}`, kind: deepimage.KindUnavailable},
		"address has a line end": {status: 200, body: `{"status":"complete","result_url":"https://x.test/\n"}`, kind: deepimage.KindUnavailable},
		"address has the key":    {status: 200, body: `{"status":"complete","result_url":"https://x.test/?k=` + theKey + `"}`, kind: deepimage.KindUnavailable},
		"failed with 200":        {status: 200, body: `{"status":"failed","job":"J","message":"no face"}`, state: deepimage.Failed},
		"error with 200":         {status: 200, body: `{"status":"error","message":"no face"}`, state: deepimage.Failed},
		"failed with 500":        {status: 500, body: `{"status":"failed","job":"J","message":"no face"}`, state: deepimage.Failed},
		"failed without id":      {status: 500, body: `{"status":"failed","message":"no face"}`, state: deepimage.Failed},
		"failed other job":       {status: 500, body: `{"status":"failed","job":"K"}`, kind: deepimage.KindUnavailable},
		"error of the job":       {status: 500, body: `{"status":"error","job":"J"}`, state: deepimage.Failed},
		"error of a server":      {status: 500, body: `{"status":"error","message":"database is down"}`, kind: deepimage.KindUnavailable},
		"error of a gateway":     {status: 503, body: `{"status":"error"}`, kind: deepimage.KindUnavailable},
		"failed with 404":        {status: 404, body: `{"status":"failed","job":"J"}`, kind: deepimage.KindUnavailable},
		"status is a number":     {status: 200, body: `{"status":7,"job":"J"}`, kind: deepimage.KindUnavailable},
		"status is blank":        {status: 200, body: `{"status":" ","job":"J"}`, kind: deepimage.KindUnavailable},
		"deleted":                {status: 404, body: `{"message":"Image deleted","status":"complete"}`, state: deepimage.Deleted},
		"deleted and gone":       {status: 410, body: `{"message":"image deleted."}`, state: deepimage.Deleted},
		"unknown":                {status: 404, body: ` {"message":"Job not found"}`, state: deepimage.Unknown},
		"not ours":               {status: 404, body: `{"message":"Job not found on this server"}`, kind: deepimage.KindUnavailable},
		"unknown with 200":       {status: 200, body: `{"message":"Job not found"}`, kind: deepimage.KindUnavailable},
		"wrong key":              {status: 404, body: `{"message":"No user found for provided token"}`, kind: deepimage.KindKey},
		"no key":                 {status: 403, body: `{"message":"No x-api-key header is provided"}`, kind: deepimage.KindKey},
		"not ours to see":        {status: 403, body: complete, kind: deepimage.KindJob},
		"429 with a status":      {status: 429, body: complete, kind: deepimage.KindLimited},
		"created":                {status: 201, body: complete, kind: deepimage.KindUnavailable},
		"no content":             {status: 204, body: ``, kind: deepimage.KindUnavailable},
		"redirect":               {status: 302, body: complete, kind: deepimage.KindUnavailable},
		"list":                   {status: 200, body: `[` + complete + `]`, kind: deepimage.KindUnavailable},
		"twice":                  {status: 200, body: complete + complete, kind: deepimage.KindUnavailable},
		"two statuses":           {status: 200, body: `{"status":"complete","status":"failed"}`, kind: deepimage.KindUnavailable},
		"not UTF-8":              {status: 200, body: "{\"status\":\"\xff\"}", kind: deepimage.KindUnavailable},
		"too long":               {status: 200, body: complete + strings.Repeat(" ", deepimage.MaxResponseBytes), kind: deepimage.KindUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, failed := client.ParseResult(row.status, http.Header{}, []byte(row.body), "J")
			switch {
			case row.state != "" && (failed != nil || got.State != row.state || got.Job != "J"):
				t.Errorf("ParseResult() = %+v, %v, want state %s of job J", got, failed, row.state)
			case row.state == "" && (failed == nil || failed.Kind != row.kind || got != deepimage.JobStatus{}):
				t.Errorf("ParseResult() = %+v, %v, want only an error of kind %s", got, failed, row.kind)
			}
			if got.State == deepimage.Failed && got.Message != "no face" && strings.Contains(row.body, "no face") {
				t.Errorf("message = %q, want %q", got.Message, "no face")
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	client := newClient(t, "http://127.0.0.1:1", deepimage.Config{})
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "-7": 0, "soon": 0, "1e3": 0,
		"99999999999999999999": 24 * time.Hour, "86401": 24 * time.Hour, "Thu, 01 Jan 1970 00:00:00 GMT": 0, "Fri, 31 Dec 9999 23:59:59 GMT": 24 * time.Hour,
	} {
		header := http.Header{"Retry-After": {value}}
		_, failed := client.ParseResult(429, header, nil, "J")
		if failed == nil || failed.Kind != deepimage.KindLimited || failed.After != want {
			t.Errorf("%q: error = %+v, want kind %s after %s", value, failed, deepimage.KindLimited, want)
		}
		if _, failed := client.ParseSubmission(429, header, nil); failed == nil || failed.Kind != deepimage.KindSlots || failed.After != want {
			t.Errorf("%q: error = %+v, want kind %s after %s", value, failed, deepimage.KindSlots, want)
		}
	}
}

func TestSanitize(t *testing.T) {
	t.Parallel()
	client := newClient(t, "http://127.0.0.1:1", deepimage.Config{})
	for text, want := range map[string]string{
		"":                                 "",
		" two \n\t words ":                 "two words",
		"a\x1b[2Jb\u202e\u0000c":           "a[2Jbc",
		"the key " + theKey + ".":          "the key [redacted].",
		theKey[:5] + "\u200b" + theKey[5:]: "[redacted]",
		"at https://me/webhooks/deep-image/t0ken?": "at [address]",
		"at /webhooks/deep-image/t0ken":            "at [address]",
		"image/png is no jpeg":                     "image/png is no jpeg",
		strings.Repeat("x", 100):                   strings.Repeat("x", 61) + "…",
		strings.Repeat("é ", 200):                  strings.Repeat("é ", 99) + "…",
	} {
		if got := client.Sanitize(text, deepimage.MaxMessage); got != want {
			t.Errorf("Sanitize(%q) = %q, want %q", text, got, want)
		}
	}
}
