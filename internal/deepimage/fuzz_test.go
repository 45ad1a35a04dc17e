package deepimage_test

import (
	"net/http"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
)

// FuzzResponses parses any response to each of the calls.
func FuzzResponses(f *testing.F) {
	for _, seed := range []struct {
		status int
		body   string
	}{
		{200, `{"status":"complete","job":"J","result_url":"https://x.test/a.png"}`},
		{200, `{"status":"predicting","job":"J","result_url":""}`},
		{200, `{"job":"J"}`},
		{500, `{"message":"no ` + theKey + ` at https://x.test/","status":"failed","job":"J"}`},
		{404, `{"message":"Image deleted","status":"complete"}`},
		{404, `{"message":"Job not found"}`},
		{404, `{"message":"No user found for provided token"}`},
		{429, `{"message":"x","code":"TOO_MANY_REQUESTS"}`},
		{200, `<html>`},
		{200, ``},
	} {
		f.Add(seed.status, "7", []byte(seed.body))
	}
	client := newClient(f, "http://127.0.0.1:1", deepimage.Config{})
	f.Fuzz(func(t *testing.T, status int, header string, body []byte) {
		headers := http.Header{"Retry-After": {header}, "Content-Type": {header}}
		got, failed := client.ParseResult(status, headers, body, "J")
		if failed == nil {
			checkFuzzedStatus(t, got, status)
		} else if got != (deepimage.JobStatus{}) {
			t.Fatalf("status = %+v with error %v, want none with an error", got, failed)
		}
		checkFuzzedFailure(t, failed)
		job, failed := client.ParseSubmission(status, headers, body)
		if (job == "") != (failed != nil) || len(job) > 256 || job != "" && (status < 200 || status > 299) {
			t.Fatalf("ParseSubmission(%d) = %q, %v, want either a job with a 2xx or an error", status, job, failed)
		}
		checkFuzzedFailure(t, failed)
		checkFuzzedFailure(t, client.ParseDeletion(status, headers, body, "J"))
	})
}

func checkFuzzedStatus(t *testing.T, got deepimage.JobStatus, status int) {
	t.Helper()
	checkFuzzedText(t, got.Message)
	checkFuzzedText(t, got.Status)
	wants := map[deepimage.State]bool{
		deepimage.Complete: status == 200 && got.ResultURL != "" && !strings.Contains(got.ResultURL, theKey),
		deepimage.Failed:   status == 200 || status >= 500,
		deepimage.Deleted:  status == 404 || status == 410,
		deepimage.Unknown:  status == 404 || status == 410,
		deepimage.Pending:  status == 200,
	}
	if !wants[got.State] || got.Job != "J" || (got.ResultURL != "") != (got.State == deepimage.Complete) {
		t.Fatalf("ParseResult(%d) = %+v, want a state that this status can have", status, got)
	}
}

func checkFuzzedFailure(t *testing.T, failed *deepimage.Error) {
	t.Helper()
	if failed == nil {
		return
	}
	checkFuzzedText(t, failed.Text)
	if failed.Kind == "" || failed.Text == "" || failed.After < 0 || len(failed.Text) > 600 {
		t.Fatalf("error = %+v, want a kind, a text of at most 600 bytes and no negative time", failed)
	}
}

func checkFuzzedText(t *testing.T, text string) {
	t.Helper()
	if strings.Contains(text, theKey) || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Fatalf("text = %q, want printable text without the key", text)
	}
}
