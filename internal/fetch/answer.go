package fetch

import (
	"net/http"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/httpclient"
)

// checkAnswer lets only a whole file through: 200, not compressed, not empty and
// not over most bytes by its own account.
func checkAnswer(response *http.Response, most int64) error {
	host := response.Request.URL.Hostname()
	switch {
	case response.StatusCode != http.StatusOK:
		return statusFailure(response)
	case isEncoded(response.Header):
		return failf(KindEncoding, "the host %s sends the file compressed, though it was asked not to", host)
	case response.ContentLength == 0:
		return failf(KindTruncated, "the host %s sends an empty file", host)
	case response.ContentLength > most:
		return failf(KindTooLarge, "the file has %d bytes, more than the allowed %d", response.ContentLength, most)
	}
	return nil
}

func statusFailure(response *http.Response) error {
	host, status := response.Request.URL.Hostname(), response.StatusCode
	switch status {
	case http.StatusPartialContent:
		return failf(KindTruncated, "the host %s sends a part of the file, though the whole was asked for", host)
	case http.StatusNoContent, http.StatusResetContent:
		return failf(KindTruncated, "the host %s answers that there is no content", host)
	}
	failed := failf(KindStatus, "%s answers %d %s", shown(response.Request.URL), status, http.StatusText(status))
	failed.Text = strings.TrimSpace(failed.Text)
	failed.Status = status
	failed.RetryAfter = httpclient.RetryAfter(response.Header, time.Now())
	return failed
}

// isEncoded says whether the body is anything else than the file itself.
func isEncoded(header http.Header) bool {
	for _, value := range header.Values("Content-Encoding") {
		for coding := range strings.SplitSeq(value, ",") {
			coding = strings.TrimSpace(coding)
			if coding != "" && !strings.EqualFold(coding, "identity") {
				return true
			}
		}
	}
	return false
}
