package fetch

import (
	"net/http"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/httpclient"
)

// checkResponse accepts only a whole file: status 200, not encoded, and an announced length of 1 to limit bytes, if any.
func checkResponse(response *http.Response, limit int64) error {
	host := response.Request.URL.Hostname()
	switch {
	case response.StatusCode != http.StatusOK:
		return statusFailure(response)
	case isEncoded(response.Header):
		return failf(KindEncoding, "the host %s sends the file with a Content-Encoding that was not requested", host)
	case response.ContentLength == 0:
		return failf(KindTruncated, "the host %s sends an empty file", host)
	case response.ContentLength > limit:
		return failf(KindTooLarge, "the file has %d bytes, more than the allowed %d", response.ContentLength, limit)
	}
	return nil
}

func statusFailure(response *http.Response) error {
	host, status := response.Request.URL.Hostname(), response.StatusCode
	switch status {
	case http.StatusPartialContent:
		return failf(KindTruncated, "the host %s sends a part of the file, but the whole file was requested", host)
	case http.StatusNoContent, http.StatusResetContent:
		return failf(KindTruncated, "the host %s answers without content", host)
	}
	failed := failf(KindStatus, "%s answers %d %s", redacted(response.Request.URL), status, http.StatusText(status))
	failed.Text = strings.TrimSpace(failed.Text)
	failed.Status = status
	failed.RetryAfter = httpclient.RetryAfter(response.Header, time.Now())
	return failed
}

// isEncoded reports whether the body has a coding other than identity.
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
