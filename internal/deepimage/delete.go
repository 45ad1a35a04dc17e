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
	done := a.status >= 200 && a.status < 300
	switch failed := c.refusal(a, s, readable); {
	case done && !readable && !a.oversized && !a.isPage():
	case readable && isGone(a.status) && s.Message.is("Image deleted"):
	case readable && isGone(a.status) && s.Message.is("Job not found"):
		state = Unknown
	case readable && refusesDeletion(a.status) && !isKeyRefusal(a.status, s):
		return answered(KindRefused, a.status, "the Deep Image API refuses to delete the images of the job with %s%s", statusText(a.status), c.reason(s))
	case failed != nil:
		return failed
	case done && !s.failed():
	default:
		return c.unexpected(a, s)
	}
	c.cache.put(Verdict{Job: job, State: state, Asked: now()})
	return nil
}

// refusesDeletion says whether HTTP lays the fault on the request, so that the same again will be refused. Nothing of it is documented.
func refusesDeletion(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusConflict, http.StatusGone, http.StatusUnprocessableEntity:
		return true
	default:
		return false
	}
}
