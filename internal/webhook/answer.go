package webhook

import (
	"net/http"
	"strconv"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/go-json-experiment/json/jsontext"
)

// answer writes the response to an accepted callback: {"id":"...","job":"...","status":"accepted"}.
func answer(w http.ResponseWriter, job string, receipt event.Receipt) {
	body := appendAnswer(make([]byte, 0, 128+len(job)), job, receipt)
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	// The event is stored, whether or not the client receives the response.
	_, _ = w.Write(body) //nolint:gosec // JSON by its type, and nosniff: no browser runs it
}

func appendAnswer(b []byte, job string, receipt event.Receipt) []byte {
	status := "accepted"
	if receipt.Duplicate {
		status = "duplicate"
	}
	b = append(b, `{"id":`...)
	b = appendText(b, string(receipt.ID))
	b = append(b, `,"job":`...)
	b = appendText(b, job)
	b = append(b, `,"status":`...)
	b = appendText(b, status)
	return append(b, '}')
}

// appendText appends text as a JSON string.
func appendText(b []byte, text string) []byte {
	// The error is about invalid UTF-8, which event.Decode refuses in a job.
	b, _ = jsontext.AppendQuote(b, text)
	return b
}
