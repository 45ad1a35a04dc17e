package deepimage

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/deepimage-receiver/receiver/internal/httpclient"
	"github.com/deepimage-receiver/receiver/internal/sanitize"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// members are the known members of a response's JSON. One that is absent, null or not a string is "".
type members struct {
	Status    text `json:"status"`
	Job       text `json:"job"`
	ResultURL text `json:"result_url"`
	Message   text `json:"message"`
	Code      text `json:"code"`
}

// text is a member that should be a string.
type text string

// UnmarshalJSON accepts a string and ignores any other value.
func (t *text) UnmarshalJSON(value []byte) error {
	if jsontext.Value(value).Kind() != '"' {
		return nil
	}
	return json.Unmarshal(value, (*string)(t))
}

// decode parses the body; false if it is not a JSON object.
func (r response) decode() (members, bool) {
	var m members
	if r.oversized || jsontext.Value(r.body).Kind() != '{' {
		return members{}, false
	}
	if err := json.Unmarshal(r.body, &m); err != nil {
		return members{}, false
	}
	return m, true
}

// equals compares without case, outer white space and final dots.
func (t text) equals(word string) bool {
	return strings.EqualFold(strings.TrimRight(strings.TrimSpace(string(t)), "."), word)
}

// failed reports whether the job failed. "failed" is documented, "error" inferred.
func (m members) failed() bool { return m.Status.equals("failed") || m.Status.equals("error") }

// failedJob distinguishes a failed job from a failing server. Documented is a 500 with "failed" and the job; an
// "error" without a job can come from any server.
func (m members) failedJob(status int) bool {
	return status == http.StatusOK && m.failed() || status >= 500 && m.failed() && (m.Status.equals("failed") || m.Job != "")
}

// parseResult returns the status in a response to GET /result/{job}. A response that the API would not give is an
// error: neither the page of a gateway nor a wrong address may fail or quarantine an event.
func (c *Client) parseResult(r response, job string) (JobStatus, *Error) {
	m, ok := r.decode()
	if failed := c.commonError(r, m, ok); failed != nil {
		return JobStatus{}, failed
	}
	status := JobStatus{Job: job}
	switch {
	case m.Job != "" && !strings.EqualFold(string(m.Job), job):
		return JobStatus{}, statusf(KindUnavailable, r.status, "the Deep Image API answered about another job than was asked for")
	case isGone(r.status) && m.Message.equals("Image deleted"): // documented, with status complete
		status.State = Deleted
	case isGone(r.status) && m.Message.equals("Job not found"): // documented
		status.State = Unknown
	case m.failedJob(r.status):
		status.State, status.Message = Failed, c.sanitize(string(m.Message), maxMessage)
	case r.status == http.StatusOK:
		return c.parseStatus(m, status)
	case r.status == http.StatusForbidden: // possibly a job of another account
		return JobStatus{}, statusf(KindJob, r.status, "the Deep Image API refuses access to the job%s", c.message(m))
	default:
		return JobStatus{}, c.unexpected(r, m)
	}
	return status, nil
}

// parseStatus reads a 200 of a job that did not fail: received, not_started, in_progress and complete are documented,
// predicting was seen. Only complete with a URL is final.
func (c *Client) parseStatus(m members, status JobStatus) (JobStatus, *Error) {
	switch {
	case m.Status.equals("complete") && m.ResultURL != "":
		if fault := c.checkResultURL(string(m.ResultURL)); fault != "" {
			return JobStatus{}, statusf(KindUnavailable, http.StatusOK, "the Deep Image API returned a result URL that %s", fault)
		}
		status.State, status.ResultURL = Complete, string(m.ResultURL)
	case strings.TrimSpace(string(m.Status)) == "":
		return JobStatus{}, statusf(KindUnavailable, http.StatusOK, "the Deep Image API answered without a status")
	default:
		status.State, status.Status = Pending, c.sanitize(string(m.Status), maxStatus)
	}
	return status, nil
}

// checkResultURL returns what is wrong with a result's URL, or "". A URL with the key in it would send the key to
// another host.
func (c *Client) checkResultURL(address string) (fault string) {
	switch {
	case len(address) > maxURLBytes:
		return "is too long"
	case strings.Contains(address, c.key.Reveal()):
		return "contains the API key"
	case strings.ContainsFunc(address, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }):
		return "contains white space or a control character"
	default:
		return ""
	}
}

// commonError returns the errors that every call can get, nil for any other response.
func (c *Client) commonError(r response, m members, ok bool) *Error {
	switch {
	case r.status == http.StatusTooManyRequests:
		failed := statusf(KindLimited, r.status, "the Deep Image API limits the rate of calls")
		failed.After = httpclient.RetryAfter(r.header, time.Now())
		return failed
	case r.status >= 300 && r.status < 400:
		return statusf(KindUnavailable, r.status,
			"the Deep Image API at %s answered with a redirect, which is not followed; check its configured address", c.base.Host)
	case !ok && (r.status < 200 || r.status > 299):
		return statusf(KindUnavailable, r.status, "the Deep Image API at %s answered %s without JSON", c.base.Host, statusText(r.status))
	case !ok:
		return statusf(KindUnavailable, r.status, "the Deep Image API at %s returned an unusable response: %s", c.base.Host, r.describe())
	case isKeyError(r.status, m):
		return statusf(KindKey, r.status, "the Deep Image API refuses the key%s", c.message(m))
	default:
		return nil
	}
}

// isKeyError recognizes a wrong key, which is a 404, and a missing one, a 403; both documented. 401 is inferred.
func isKeyError(status int, m members) bool {
	return status == http.StatusUnauthorized ||
		status == http.StatusForbidden && m.Message.equals("No x-api-key header is provided") ||
		status == http.StatusNotFound && m.Message.equals("No user found for provided token")
}

// isGone accepts 410 for the documented 404.
func isGone(status int) bool { return status == http.StatusNotFound || status == http.StatusGone }

// unexpected returns the error for JSON that is not documented.
func (c *Client) unexpected(r response, m members) *Error {
	return statusf(KindUnavailable, r.status, "the Deep Image API at %s answered %s unexpectedly%s", c.base.Host, statusText(r.status), c.message(m))
}

// message returns the vendor's message as the end of a sentence, or "".
func (c *Client) message(m members) string {
	if message := c.sanitize(string(m.Message), maxMessage); message != "" {
		return ": " + message
	}
	return ""
}

// describe returns what is wrong with a body that is not JSON.
func (r response) describe() string {
	switch {
	case r.oversized:
		return "it is too long"
	case len(r.body) == 0:
		return "it is empty"
	case r.isHTML():
		return "it is an HTML page"
	default:
		return "it is not a complete JSON object"
	}
}

// isHTML reports whether the body is for a browser: the page of a gateway, or of a network that wants a log-in.
func (r response) isHTML() bool {
	mediaType, _, _ := strings.Cut(r.header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "text/html") || bytes.HasPrefix(bytes.TrimSpace(r.body), []byte("<"))
}

func statusText(status int) string {
	return strings.TrimSpace(strconv.Itoa(status) + " " + http.StatusText(status))
}

// Bounds of the vendor's texts that are shown, in bytes.
const (
	maxMessage = 300
	maxStatus  = 40
	maxWord    = 64
)

// sanitize returns a text of the vendor as one line of at most limit bytes that is safe to show. It redacts the key,
// because the API can repeat it, and all URLs and paths, because the vendor quotes requests with the webhook's token.
func (c *Client) sanitize(text string, limit int) string {
	visible := strings.ReplaceAll(sanitize.Line(text, len(text)), c.key.Reveal(), secret.Placeholder)
	var words []string
	for word := range strings.FieldsSeq(visible) {
		if strings.Contains(word, "://") || strings.Count(word, "/") > 1 {
			word = "[address]"
		}
		words = append(words, sanitize.Clip(word, maxWord))
	}
	return sanitize.Clip(strings.Join(words, " "), limit)
}
