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

// Submit hands a request to the vendor (POST /process, documented) and gives the id of the job. The
// request is a JSON object of at most 32 MiB, as the vendor documents it.
//
// It is sent once at most. The error is always an *Error; after one of KindOutcome nobody knows
// whether there is a job, and after any other none is under way.
func (c *Client) Submit(ctx context.Context, request []byte) (job string, err error) {
	if failed := checkRequest(request); failed != nil {
		return "", failed
	}
	failed := c.inTurn(ctx, c.submits, c.config.SubmitTimeout, func(ctx context.Context) *Error {
		answer, failed := c.call(ctx, http.MethodPost, "/process", request)
		if failed == nil {
			job, failed = c.readSubmission(answer)
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

// readSubmission finds the job in the answer to a submission. Apart from 429 and the refusals of
// the key the errors are not documented: their statuses are read as HTTP means them.
func (c *Client) readSubmission(a answer) (job string, failed *Error) {
	s, readable := a.decode()
	switch {
	case a.status == http.StatusTooManyRequests:
		return "", slotsTaken(a)
	case lacksCredits(a.status, s):
		return "", answered(KindCredits, a.status, "the Deep Image account has too few credits for this job%s", c.reason(s))
	case s.failedJob(a.status):
		return "", answered(KindRefused, a.status, "Deep Image could not process the request%s", c.reason(s))
	case a.status >= 200 && a.status < 300 && isJob(string(s.Job)):
		return string(s.Job), nil
	case a.status < 300 || a.status >= 500 || a.status == http.StatusRequestTimeout:
		return "", uncertain(c.unexpected(a, s))
	case isRefusal(a.status):
		return "", answered(KindRefused, a.status, "Deep Image refuses the request with %s%s", statusText(a.status), c.reason(s))
	}
	if failed := c.refusal(a, s, readable); failed != nil {
		return "", failed
	}
	if a.status == http.StatusForbidden { // no other's job is asked for: it is the account that may not
		return "", answered(KindKey, a.status, "the Deep Image API does not take the key%s", c.reason(s))
	}
	return "", c.unexpected(a, s)
}

// uncertain makes a failure one after which nobody knows whether there is a job.
func uncertain(failed *Error) *Error {
	failed.Kind = KindOutcome
	failed.Text += "; whether the job was taken is not known"
	return failed
}

// slotsTaken is the documented 429, TOO_MANY_REQUESTS: as many jobs are under way as the plan allows.
// That it also says when to come back is not known.
func slotsTaken(a answer) *Error {
	failed := answered(KindSlots, a.status,
		"as many jobs are under way as the plan of the Deep Image account allows; when one is done there is room for the next")
	failed.After = httpclient.RetryAfter(a.header, time.Now())
	return failed
}

// lacksCredits is inferred: nothing documented says how an empty account is told.
func lacksCredits(status int, s said) bool {
	return status == http.StatusPaymentRequired ||
		status >= 400 && status < 500 && strings.Contains(strings.ToLower(string(s.Message+s.Code)), "credit")
}

// isRefusal says whether HTTP lays the fault on the request.
func isRefusal(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return true
	default:
		return false
	}
}

// isJob says whether a text can be a job's id, as a callback may carry it.
func isJob(text string) bool {
	return text != "" && len(text) <= maxJobBytes && !strings.ContainsFunc(text, unicode.IsControl)
}
