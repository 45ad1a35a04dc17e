package deepimage

import (
	"context"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/deepimage-receiver/receiver/internal/httpclient"
	"github.com/go-json-experiment/json/jsontext"
)

// Submit sends a request to the vendor (POST /process, documented) and returns the id of the job. The request is a
// JSON object of at most MaxRequestBytes.
//
// It sends the request at most once. The error is always an *Error. After one of KindOutcome the job may exist; after
// any other it does not.
func (c *Client) Submit(ctx context.Context, request []byte) (job string, err error) {
	if failed := checkRequest(request); failed != nil {
		return "", failed
	}
	failed := c.throttled(ctx, c.submissions, c.config.SubmitTimeout, func(ctx context.Context) *Error {
		r, failed := c.call(ctx, http.MethodPost, "/process", request)
		if failed == nil {
			job, failed = c.parseSubmission(r)
		}
		return failed
	})
	if failed != nil {
		return "", failed
	}
	return job, nil
}

func checkRequest(request []byte) *Error {
	switch {
	case len(request) > MaxRequestBytes:
		return failf(KindRefused, "the request has %d bytes, more than the allowed %d", len(request), MaxRequestBytes)
	case !jsontext.Value(request).IsValid() || jsontext.Value(request).Kind() != '{':
		return failf(KindRefused, "the request is not a JSON object")
	default:
		return nil
	}
}

// parseSubmission returns the job in the response to a submission. Only 429 and the errors of the key are documented;
// the other statuses have their meaning in HTTP.
func (c *Client) parseSubmission(r response) (job string, failed *Error) {
	m, ok := r.decode()
	switch {
	case r.status == http.StatusTooManyRequests:
		return "", slotsTaken(r)
	case lacksCredits(r.status, m):
		return "", statusf(KindCredits, r.status, "the Deep Image account has too few credits for this job%s", c.message(m))
	case m.failedJob(r.status):
		return "", statusf(KindRefused, r.status, "Deep Image could not process the request%s", c.message(m))
	case r.status >= 200 && r.status < 300 && isJob(string(m.Job)):
		return string(m.Job), nil
	case r.status < 300 || r.status >= 500 || r.status == http.StatusRequestTimeout:
		return "", unknownOutcome(c.unexpected(r, m))
	case isRefusal(r.status):
		return "", statusf(KindRefused, r.status, "Deep Image refuses the request with %s%s", statusText(r.status), c.message(m))
	}
	if failed := c.commonError(r, m, ok); failed != nil {
		return "", failed
	}
	if r.status == http.StatusForbidden { // a submission names no job of another account, so the key lacks the right
		return "", statusf(KindKey, r.status, "the Deep Image API refuses the key%s", c.message(m))
	}
	return "", c.unexpected(r, m)
}

// unknownOutcome turns an error into one of KindOutcome.
func unknownOutcome(failed *Error) *Error {
	failed.Kind = KindOutcome
	failed.Text += "; the job may have been accepted"
	return failed
}

// slotsTaken is the documented 429, TOO_MANY_REQUESTS: the plan's limit of concurrent jobs is reached. Whether the
// vendor sends Retry-After with it is not known.
func slotsTaken(r response) *Error {
	failed := statusf(KindSlots, r.status,
		"the Deep Image account has as many jobs in progress as its plan allows; try again when one is done")
	failed.After = httpclient.RetryAfter(r.header, time.Now())
	return failed
}

// lacksCredits is inferred: the error for an empty account is not documented.
func lacksCredits(status int, m members) bool {
	return status == http.StatusPaymentRequired ||
		status >= 400 && status < 500 && strings.Contains(strings.ToLower(string(m.Message+m.Code)), "credit")
}

// isRefusal reports whether the status blames the request.
func isRefusal(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return true
	default:
		return false
	}
}

// isJob reports whether text can be a job's id, as a callback may carry it.
func isJob(text string) bool {
	return text != "" && len(text) <= maxJobBytes && !strings.ContainsFunc(text, unicode.IsControl)
}
