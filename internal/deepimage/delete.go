package deepimage

import (
	"context"
	"net/http"
)

// Delete removes a job's images from the vendor (DELETE /result/{job}, seen in the code of clients). It is
// done as well if they are gone already or there is no such job, so it may be tried again. The error is
// always an *Error.
func (c *Client) Delete(ctx context.Context, job string) error {
	if !askable(job) {
		return nil
	}
	failed := c.inTurn(ctx, c.deletes, c.config.Timeout, func(ctx context.Context) *Error {
		answer, failed := c.call(ctx, http.MethodDelete, resultPath(job), nil)
		if failed == nil {
			failed = c.readDeletion(answer, job)
		}
		return failed
	})
	if failed != nil {
		return failed
	}
	return nil
}

// readDeletion says whether the images are gone. What the API says when they are is not
// documented: any 2xx counts that is not somebody else's page.
func (c *Client) readDeletion(a answer, job string) *Error {
	s, readable := a.decode()
	state := Deleted
	switch {
	case a.says(s, readable, "Image deleted") || a.deleted(s, readable):
	case a.says(s, readable, "Job not found"):
		state = Unknown
	default:
		return c.readUndeleted(a, s, readable)
	}
	c.cache.put(Verdict{Job: job, State: state, Asked: now()})
	return nil
}

// says compares the message of a documented 404.
func (a answer) says(s said, readable bool, message string) bool {
	return readable && isGone(a.status) && s.Message.ok(message)
}

// deleted takes a short text, or nothing, for a yes as well.
func (a answer) deleted(s said, readable bool) bool {
	if a.status < 200 || a.status > 299 {
		return false
	}
	return readable && !s.failed() || !readable && !a.oversized && !a.isPage()
}

// readUndeleted tells a refusal, which stays one, from an answer that says nothing.
func (c *Client) readUndeleted(a answer, s said, readable bool) *Error {
	if failed := c.refusal(a, s, readable); failed != nil {
		return failed
	}
	if refusesDeletion(a.status) {
		return answered(KindRefused, a.status, "the Deep Image API refuses to delete the images of the job with %s%s", statusText(a.status), c.reason(s))
	}
	return c.unexpected(a, s)
}

// refusesDeletion says whether HTTP lays the fault on the request, so that the same again will be refused. Nothing of it is documented.
func refusesDeletion(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusConflict,
		http.StatusGone, http.StatusUnprocessableEntity:
		return true
	default:
		return false
	}
}
