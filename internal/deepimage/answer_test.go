package deepimage_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
)

// TestAnswersOfAllKinds are those that the fake does not give.
func TestAnswersOfAllKinds(t *testing.T) {
	t.Parallel()
	client := newClient(t, "http://127.0.0.1:1", deepimage.Config{})
	const complete = `{"status":"complete","job":"J","result_url":"https://x.test/a.png"}`
	for name, row := range map[string]struct {
		status int
		body   string
		state  deepimage.State // "" is a failure of kind
		kind   deepimage.Kind
	}{
		"complete":               {200, complete, deepimage.Complete, ""},
		"id in capitals":         {200, strings.Replace(complete, "J", "j", 1), deepimage.Complete, ""},
		"no id":                  {200, `{"status":"complete","result_url":"https://x.test/a.png"}`, deepimage.Complete, ""},
		"id is a number":         {200, `{"status":"complete","job":7,"result_url":"https://x.test/a.png"}`, deepimage.Complete, ""},
		"other id":               {200, strings.Replace(complete, "J", "K", 1), "", deepimage.KindUnavailable},
		"other members":          {200, `{"x":{"status":"failed"},"status":"complete","job":"J","result_url":"https://x.test/"}`, deepimage.Complete, ""},
		"status in capitals":     {200, `{"status":"Complete","result_url":"https://x.test/"}`, deepimage.Complete, ""},
		"address is a list":      {200, `{"status":"complete","job":"J","result_url":["https://x.test/"]}`, deepimage.Pending, ""},
		"address is empty":       {200, `{"status":"complete","job":"J","result_url":""}`, deepimage.Pending, ""},
		"address is too long":    {200, `{"status":"complete","result_url":"https://x.test/` + strings.Repeat("x", 8192) + `"}`, "", deepimage.KindUnavailable},
		"address has a line end": {200, `{"status":"complete","result_url":"https://x.test/\n"}`, "", deepimage.KindUnavailable},
		"address has the key":    {200, `{"status":"complete","result_url":"https://x.test/?k=` + theKey + `"}`, "", deepimage.KindUnavailable},
		"failed with 200":        {200, `{"status":"failed","job":"J","message":"no face"}`, deepimage.Failed, ""},
		"error with 200":         {200, `{"status":"error","message":"no face"}`, deepimage.Failed, ""},
		"failed with 500":        {500, `{"status":"failed","job":"J","message":"no face"}`, deepimage.Failed, ""},
		"failed without id":      {500, `{"status":"failed","message":"no face"}`, deepimage.Failed, ""},
		"failed other job":       {500, `{"status":"failed","job":"K"}`, "", deepimage.KindUnavailable},
		"error of the job":       {500, `{"status":"error","job":"J"}`, deepimage.Failed, ""},
		"error of a server":      {500, `{"status":"error","message":"database is down"}`, "", deepimage.KindUnavailable},
		"error of a gateway":     {503, `{"status":"error"}`, "", deepimage.KindUnavailable},
		"failed with 404":        {404, `{"status":"failed","job":"J"}`, "", deepimage.KindUnavailable},
		"status is a number":     {200, `{"status":7,"job":"J"}`, "", deepimage.KindUnavailable},
		"status is blank":        {200, `{"status":" ","job":"J"}`, "", deepimage.KindUnavailable},
		"deleted":                {404, `{"message":"Image deleted","status":"complete"}`, deepimage.Deleted, ""},
		"deleted and gone":       {410, `{"message":"image deleted."}`, deepimage.Deleted, ""},
		"unknown":                {404, ` {"message":"Job not found"}`, deepimage.Unknown, ""},
		"not ours":               {404, `{"message":"Job not found on this server"}`, "", deepimage.KindUnavailable},
		"unknown with 200":       {200, `{"message":"Job not found"}`, "", deepimage.KindUnavailable},
		"wrong key":              {404, `{"message":"No user found for provided token"}`, "", deepimage.KindKey},
		"no key":                 {403, `{"message":"No x-api-key header is provided"}`, "", deepimage.KindKey},
		"not ours to see":        {403, complete, "", deepimage.KindJob},
		"429 with a verdict":     {429, complete, "", deepimage.KindLimited},
		"created":                {201, complete, "", deepimage.KindUnavailable},
		"no content":             {204, ``, "", deepimage.KindUnavailable},
		"redirect":               {302, complete, "", deepimage.KindUnavailable},
		"list":                   {200, `[` + complete + `]`, "", deepimage.KindUnavailable},
		"twice":                  {200, complete + complete, "", deepimage.KindUnavailable},
		"two statuses":           {200, `{"status":"complete","status":"failed"}`, "", deepimage.KindUnavailable},
		"not UTF-8":              {200, "{\"status\":\"\xff\"}", "", deepimage.KindUnavailable},
		"too long":               {200, complete + strings.Repeat(" ", deepimage.MaxAnswerBytes), "", deepimage.KindUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			verdict, failed := client.ReadResult(row.status, http.Header{}, []byte(row.body), "J")
			switch {
			case row.state != "" && (failed != nil || verdict.State != row.state || verdict.Job != "J"):
				t.Errorf("%+v, %v", verdict, failed)
			case row.state == "" && (failed == nil || failed.Kind != row.kind || verdict != deepimage.Verdict{}):
				t.Errorf("%+v, %v", verdict, failed)
			}
			if verdict.State == deepimage.Failed && verdict.Message != "no face" && strings.Contains(row.body, "no face") {
				t.Errorf("%+v", verdict)
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
		_, failed := client.ReadResult(429, header, nil, "J")
		if failed == nil || failed.Kind != deepimage.KindLimited || failed.After != want {
			t.Errorf("%q: %+v", value, failed)
		}
		if _, failed := client.ReadSubmission(429, header, nil); failed == nil || failed.Kind != deepimage.KindSlots || failed.After != want {
			t.Errorf("%q: %+v", value, failed)
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	client := newClient(t, "http://127.0.0.1:1", deepimage.Config{})
	for said, want := range map[string]string{
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
		if got := client.Words(said, deepimage.MaxMessage); got != want {
			t.Errorf("%q is %q, want %q", said, got, want)
		}
	}
}
