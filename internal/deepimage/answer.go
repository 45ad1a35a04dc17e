package deepimage

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/deepimage-receiver/receiver/internal/httpclient"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// said is what the API says in its JSON, as far as we know it. A member that is absent, null or
// no string is "".
type said struct {
	Status    text `json:"status"`
	Job       text `json:"job"`
	ResultURL text `json:"result_url"`
	Message   text `json:"message"`
	Code      text `json:"code"`
}

// text is a member that should be a string, and need not be.
type text string

// UnmarshalJSON takes a string, and anything else for none.
func (t *text) UnmarshalJSON(value []byte) error {
	if jsontext.Value(value).Kind() != '"' {
		return nil
	}
	return json.Unmarshal(value, (*string)(t))
}

// decode reads an answer; false means that it is not the API's JSON.
func (a answer) decode() (said, bool) {
	var s said
	if a.oversized || jsontext.Value(a.body).Kind() != '{' {
		return said{}, false
	}
	if err := json.Unmarshal(a.body, &s); err != nil {
		return said{}, false
	}
	return s, true
}

// is compares the API's words with the documented ones, as a person would.
func (t text) ok(word string) bool {
	return strings.EqualFold(strings.TrimRight(strings.TrimSpace(string(t)), "."), word)
}

// failed says that the job went wrong. "error" is inferred, "failed" documented.
func (s said) failed() bool { return s.Status.ok("failed") || s.Status.ok("error") }

// failedJob tells an answer about a failed job from that of a failing server. Documented is a
// 500 with failed and the job; an "error" that names no job is any server's.
func (s said) failedJob(status int) bool {
	return status == http.StatusOK && s.failed() || status >= 500 && s.failed() && (s.Status.ok("failed") || s.Job != "")
}

// readResult makes a verdict of the answer to GET /result/{job}. What is not exactly what
// the API says of a job is no verdict: a page of a gateway, or an address that is not the API's, must
// neither kill nor quarantine anything.
func (c *Client) readResult(a answer, job string) (Verdict, *Error) {
	s, readable := a.decode()
	if failed := c.refusal(a, s, readable); failed != nil {
		return Verdict{}, failed
	}
	verdict := Verdict{Job: job}
	switch {
	case s.Job != "" && !strings.EqualFold(string(s.Job), job):
		return Verdict{}, answered(KindUnavailable, a.status, "the Deep Image API answered about another job than was asked for")
	case isGone(a.status) && s.Message.ok("Image deleted"): // documented, with status complete
		verdict.State = Deleted
	case isGone(a.status) && s.Message.ok("Job not found"): // documented
		verdict.State = Unknown
	case s.failedJob(a.status):
		verdict.State, verdict.Message = Failed, c.words(string(s.Message), maxMessage)
	case a.status == http.StatusOK:
		return c.readStatus(s, verdict)
	case a.status == http.StatusForbidden: // somebody else's job may be refused so
		return Verdict{}, answered(KindJob, a.status, "the Deep Image API refuses to say anything of the job%s", c.reason(s))
	default:
		return Verdict{}, c.unexpected(a, s)
	}
	return verdict, nil
}

// readStatus reads a 200 of a job that did not fail: received, not_started, in_progress and complete are
// documented, predicting was seen. Only complete with an address is the end of it.
func (c *Client) readStatus(s said, verdict Verdict) (Verdict, *Error) {
	switch {
	case s.Status.ok("complete") && s.ResultURL != "":
		if complaint := c.badURL(string(s.ResultURL)); complaint != "" {
			return Verdict{}, answered(KindUnavailable, http.StatusOK, "the Deep Image API gives an address that %s", complaint)
		}
		verdict.State, verdict.ResultURL = Complete, string(s.ResultURL)
	case strings.TrimSpace(string(s.Status)) == "":
		return Verdict{}, answered(KindUnavailable, http.StatusOK, "the Deep Image API answers without a status")
	default:
		verdict.State, verdict.Status = Pending, c.words(string(s.Status), maxStatus)
	}
	return verdict, nil
}

// badURL says what is wrong with a result's address. One with the key in it would take the key to another host.
func (c *Client) badURL(address string) (complaint string) {
	switch {
	case len(address) > maxURLBytes:
		return "is too long"
	case strings.Contains(address, c.key.Reveal()):
		return "has the API key in it"
	case strings.ContainsFunc(address, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }):
		return "has a space or a control character in it"
	default:
		return ""
	}
}

// refusal is for the answers that every call can get, nil for any other.
func (c *Client) refusal(a answer, s said, readable bool) *Error {
	switch {
	case a.status == http.StatusTooManyRequests:
		failed := answered(KindLimited, a.status, "the Deep Image API asks for fewer calls")
		failed.After = httpclient.RetryAfter(a.header, time.Now())
		return failed
	case a.status >= 300 && a.status < 400:
		return answered(KindUnavailable, a.status,
			"the Deep Image API at %s answers with a redirect, which is not followed; its configured address is not right", c.base.Host)
	case !readable && (a.status < 200 || a.status > 299):
		return answered(KindUnavailable, a.status, "the Deep Image API at %s answers %s, without a word that is the API's", c.base.Host, statusText(a.status))
	case !readable:
		return answered(KindUnavailable, a.status, "the Deep Image API at %s gives an answer that is not the API's: %s", c.base.Host, a.describe())
	case isKeyRefusal(a.status, s):
		return answered(KindKey, a.status, "the Deep Image API does not take the key%s", c.reason(s))
	default:
		return nil
	}
}

// isKeyRefusal knows a wrong key, which is a 404, and a missing one, a 403; both documented. 401 is inferred.
func isKeyRefusal(status int, s said) bool {
	return status == http.StatusUnauthorized ||
		status == http.StatusForbidden && s.Message.ok("No x-api-key header is provided") ||
		status == http.StatusNotFound && s.Message.ok("No user found for provided token")
}

// isGone lets 410 stand for the documented 404.
func isGone(status int) bool { return status == http.StatusNotFound || status == http.StatusGone }

// unexpected is for JSON that is none of the documented answers.
func (c *Client) unexpected(a answer, s said) *Error {
	return answered(KindUnavailable, a.status,
		"the Deep Image API at %s answers %s, which is not what was expected%s", c.base.Host, statusText(a.status), c.reason(s))
}

// reason is the vendor's message as the end of a sentence, "" without one.
func (c *Client) reason(s said) string {
	if message := c.words(string(s.Message), maxMessage); message != "" {
		return ": " + message
	}
	return ""
}

// describe says what a body is that is no answer of the API.
func (a answer) describe() string {
	switch {
	case a.oversized:
		return "it is too long"
	case len(a.body) == 0:
		return "it is empty"
	case a.isPage():
		return "it is an HTML page"
	default:
		return "it is not a whole JSON object"
	}
}

// isPage says whether a body is meant for a browser: that of a gateway, or of a network that wants a log-in.
func (a answer) isPage() bool {
	mediaType, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "text/html") || bytes.HasPrefix(bytes.TrimSpace(a.body), []byte("<"))
}

func statusText(status int) string {
	return strings.TrimSpace(strconv.Itoa(status) + " " + http.StatusText(status))
}
