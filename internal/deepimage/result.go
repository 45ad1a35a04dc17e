package deepimage

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"
)

// LookupOption changes how Result looks a job up.
type LookupOption func(*lookup)

type lookup struct {
	fresh  bool
	source netip.Addr
}

// Fresh asks the API even if the status is cached: for a URL that has expired, or on a person's request. Concurrent
// lookups of the same job still share one call.
func Fresh() LookupOption { return func(l *lookup) { l.fresh = true } }

// FromSource names the client IP of the callback that named the job. A source that named too many unknown jobs gets
// an error of KindSource. Leave it out, or pass the zero Addr, for jobs that did not come with a callback.
func FromSource(source netip.Addr) LookupOption { return func(l *lookup) { l.source = source } }

// Result returns the status of a job (GET /result/{job}, documented). The error is always an *Error and says nothing
// about the job.
func (c *Client) Result(ctx context.Context, job string, options ...LookupOption) (JobStatus, error) {
	var wanted lookup
	for _, option := range options {
		option(&wanted)
	}
	if !isValidJobID(job) {
		return JobStatus{Job: job, State: Unknown, Asked: now()}, nil
	}
	if known, ok := c.cache.get(job, now()); ok && !wanted.fresh {
		return known, nil
	}
	if failed := c.sources.check(wanted.source, now()); failed != nil {
		return JobStatus{}, failed
	}
	return c.lookupShared(ctx, job, wanted)
}

// lookupShared joins the lookup of the job that is under way, or begins one. The lookup continues, for other callers
// and for the cache, when this caller leaves.
func (c *Client) lookupShared(ctx context.Context, job string, wanted lookup) (JobStatus, error) {
	key := "cached " + job
	if wanted.fresh {
		key = "fresh " + job
	}
	done := c.shared.DoChan(key, func() (any, error) {
		status, failed := c.lookup(job, wanted.source)
		if failed != nil {
			return nil, failed
		}
		return status, nil
	})
	select {
	case result := <-done:
		status, _ := result.Val.(JobStatus) // nil with an error
		return status, result.Err
	case <-ctx.Done():
		return JobStatus{}, cancelled(ctx)
	}
}

// lookup asks the API once.
func (c *Client) lookup(job string, source netip.Addr) (status JobStatus, failed *Error) {
	var asked time.Time
	failed = c.throttled(c.inFlight.ctx, c.lookups, c.config.Timeout, func(ctx context.Context) *Error {
		asked = now()
		r, failed := c.call(ctx, http.MethodGet, resultPath(job), nil)
		if failed == nil {
			status, failed = c.parseResult(r, job)
		}
		return blameJob(job, failed)
	})
	if failed != nil && failed.Kind == KindJob || status.State == Unknown {
		c.sources.charge(source, asked)
	}
	if failed != nil {
		return JobStatus{}, failed
	}
	status.Asked = asked
	c.cache.put(status)
	return status, nil
}

// blameJob sets KindJob on the error of a response if the id is not a UUID, as all ids of the vendor are
// (documented). A firewall or router may refuse such an id, and that must not pause the lookups of other jobs.
func blameJob(job string, failed *Error) *Error {
	if failed == nil || failed.Status == 0 || failed.Kind == KindLimited || isUUID(job) {
		return failed
	}
	failed.Kind = KindJob
	return failed
}

func isUUID(job string) bool { return len(job) == len(uuid.Nil.String()) && uuid.Validate(job) == nil }

// isValidJobID reports whether a job's id can be part of a path without leading to another one: some servers and
// proxies resolve dots between slashes even when they are escaped. The vendor's own ids are UUIDs (documented).
func isValidJobID(job string) bool {
	if job == "" || len(job) > maxJobBytes {
		return false
	}
	isSlash := func(r rune) bool { return r == '/' || r == '\\' }
	for segment := range strings.FieldsFuncSeq(job, isSlash) {
		if strings.Trim(segment, ".") == "" {
			return false
		}
	}
	return true
}
