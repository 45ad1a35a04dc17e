package deepimage_test

import (
	"net/http"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
)

// FuzzAnswers reads anything as an answer to each of the calls.
func FuzzAnswers(f *testing.F) {
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
		said := http.Header{"Retry-After": {header}, "Content-Type": {header}}
		verdict, failed := client.ReadResult(status, said, body, "J")
		if failed == nil {
			checkFuzzedVerdict(t, verdict, status)
		} else if verdict != (deepimage.Verdict{}) {
			t.Fatalf("%+v beside %v", verdict, failed)
		}
		checkFuzzedFailure(t, failed)
		job, failed := client.ReadSubmission(status, said, body)
		if (job == "") != (failed != nil) || len(job) > 256 || job != "" && (status < 200 || status > 299) {
			t.Fatalf("%q, %v", job, failed)
		}
		checkFuzzedFailure(t, failed)
		checkFuzzedFailure(t, client.ReadDeletion(status, said, body, "J"))
	})
}

func checkFuzzedVerdict(t *testing.T, verdict deepimage.Verdict, status int) {
	t.Helper()
	checkFuzzedText(t, verdict.Message)
	checkFuzzedText(t, verdict.Status)
	wants := map[deepimage.State]bool{
		deepimage.Complete: status == 200 && verdict.ResultURL != "" && !strings.Contains(verdict.ResultURL, theKey),
		deepimage.Failed:   status == 200 || status >= 500,
		deepimage.Deleted:  status == 404 || status == 410,
		deepimage.Unknown:  status == 404 || status == 410,
		deepimage.Pending:  status == 200,
	}
	if !wants[verdict.State] || verdict.Job != "J" || (verdict.ResultURL != "") != (verdict.State == deepimage.Complete) {
		t.Fatalf("%+v of %d", verdict, status)
	}
}

func checkFuzzedFailure(t *testing.T, failed *deepimage.Error) {
	t.Helper()
	if failed == nil {
		return
	}
	checkFuzzedText(t, failed.Text)
	if failed.Kind == "" || failed.Text == "" || failed.After < 0 || len(failed.Text) > 600 {
		t.Fatalf("%+v", failed)
	}
}

func checkFuzzedText(t *testing.T, text string) {
	t.Helper()
	if strings.Contains(text, theKey) || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Fatalf("%q", text)
	}
}
