package deepimage

import (
	"context"
	"net/http"
)

// Delete deletes a job's images at the vendor (DELETE /result/{job}, seen in the code of clients). It also succeeds
// when they are deleted already or the job is unknown, so it can be retried. The error is always an *Error.
func (c *Client) Delete(ctx context.Context, job string) error {
	if !isValidJobID(job) {
		return nil
	}
	failed := c.throttled(ctx, c.deletions, c.config.Timeout, func(ctx context.Context) *Error {
		r, failed := c.call(ctx, http.MethodDelete, resultPath(job), nil)
		if failed == nil {
			failed = c.parseDeletion(r, job)
		}
		return failed
	})
	if failed != nil {
		return failed
	}
	return nil
}

// parseDeletion returns nil if the images are deleted. The response is not documented: any 2xx counts that is not an
// HTML page.
func (c *Client) parseDeletion(r response, job string) *Error {
	m, ok := r.decode()
	state := Deleted
	switch {
	case ok && isGone(r.status) && m.Message.equals("Image deleted") || r.confirmsDeletion(m, ok):
	case ok && isGone(r.status) && m.Message.equals("Job not found"):
		state = Unknown
	default:
		return c.deletionError(r, m, ok)
	}
	c.cache.put(JobStatus{Job: job, State: state, Asked: now()})
	return nil
}

// confirmsDeletion accepts JSON, a short text and an empty body.
func (r response) confirmsDeletion(m members, isJSON bool) bool {
	if r.status < 200 || r.status > 299 {
		return false
	}
	return isJSON && !m.failed() || !isJSON && !r.oversized && !r.isHTML()
}

// deletionError distinguishes a refusal, which is final, from an unusable response.
func (c *Client) deletionError(r response, m members, ok bool) *Error {
	if failed := c.commonError(r, m, ok); failed != nil {
		return failed
	}
	if refusesDeletion(r.status) {
		return statusf(KindRefused, r.status, "the Deep Image API refuses to delete the images of the job with %s%s", statusText(r.status), c.message(m))
	}
	return c.unexpected(r, m)
}

// refusesDeletion reports whether the status blames the request, so that a retry would fail too. Not documented.
func refusesDeletion(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusConflict,
		http.StatusGone, http.StatusUnprocessableEntity:
		return true
	default:
		return false
	}
}
