package fetch

import (
	"net/http"
	"strconv"
	"strings"
	"time"
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
	failed.RetryAfter = RetryAfter(response.Header.Get("Retry-After"), time.Now())
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

// RetryAfter reads the header of that name: seconds, or an HTTP date. What is neither, or in
// the past, is 0; more than a day is a day.
func RetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value != "" && strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
