package deepimage

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Look says how a result is looked up.
type Look func(*look)

type look struct {
	fresh  bool
	source netip.Addr
}

// Fresh asks the API even if the answer is remembered: for an address that has expired, and when
// a person wants to know. Those who ask for the same job at the same moment still share a call.
func Fresh() Look { return func(l *look) { l.fresh = true } }

// From names the address of the one who told us of the job. Too many jobs from it that the
// API does not know, and it has to wait (KindSource). Jobs that we know of by
// ourselves have no source, nor has one whose sender is not known: leave it out, or give the zero Addr.
func From(source netip.Addr) Look { return func(l *look) { l.source = source } }

// Result asks what became of a job (GET /result/{job}, documented). The error is always an *Error
// and means that nothing was learnt about the job, whatever its kind.
func (c *Client) Result(ctx context.Context, job string, looks ...Look) (Verdict, error) {
	var wanted look
	for _, choose := range looks {
		choose(&wanted)
	}
	if !askable(job) {
		return Verdict{Job: job, State: Unknown, Asked: now()}, nil
	}
	if known, found := c.cache.get(job, now()); found && !wanted.fresh {
		return known, nil
	}
	if refusal := c.quota.admit(wanted.source, now()); refusal != nil {
		return Verdict{}, refusal
	}
	return c.join(ctx, job, wanted)
}

// join waits for the look-up that is under way for the job, or for a new one. It goes on
// for the others, and for the cache, when this caller leaves.
func (c *Client) join(ctx context.Context, job string, wanted look) (Verdict, error) {
	flight := "remembered " + job
	if wanted.fresh {
		flight = "fresh " + job
	}
	landed := c.flights.DoChan(flight, func() (any, error) {
		verdict, failed := c.look(job, wanted.source)
		if failed != nil {
			return nil, failed
		}
		return verdict, nil
	})
	select {
	case result := <-landed:
		verdict, _ := result.Val.(Verdict) // nil beside an error
		return verdict, result.Err
	case <-ctx.Done():
		return Verdict{}, gaveUp(ctx)
	}
}

// look asks the API once, in its turn.
func (c *Client) look(job string, source netip.Addr) (verdict Verdict, failed *Error) {
	var asked time.Time
	failed = c.inTurn(c.life.ctx, c.pace, c.config.Timeout, func(ctx context.Context) *Error {
		asked = now()
		answer, failed := c.call(ctx, http.MethodGet, resultPath(job), nil)
		if failed == nil {
			verdict, failed = c.readResult(answer, job)
		}
		return ofJob(job, failed)
	})
	if failed != nil && failed.Kind == KindJob || verdict.State == Unknown {
		c.quota.charge(source, asked)
	}
	if failed != nil {
		return Verdict{}, failed
	}
	verdict.Asked = asked
	c.cache.put(verdict)
	return verdict, nil
}

// ofJob lays on the job what is answered to an id that is not the vendor's: those are UUIDs in every example (documented). What
// a firewall, a router or the API itself makes of another must not pause the calls about other jobs.
func ofJob(job string, failed *Error) *Error {
	if failed == nil || failed.Status == 0 || failed.Kind == KindLimited || isUUID(job) {
		return failed
	}
	failed.Kind = KindJob
	return failed
}

func isUUID(job string) bool { return len(job) == len(uuid.Nil.String()) && uuid.Validate(job) == nil }

// askable says whether a job's id can be put into a path without becoming another one: dots
// between slashes are resolved by some servers and proxies even when they are escaped.
// The vendor's own ids are UUIDs in every example (documented), so nothing is lost.
func askable(job string) bool {
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

// gaveUp says that a context ended before the API had answered.
func gaveUp(ctx context.Context) *Error {
	err := ctx.Err()
	if errors.Is(err, context.DeadlineExceeded) {
		return &Error{Kind: KindUnavailable, Text: "the time was over before the Deep Image API had answered", Err: err}
	}
	return &Error{Kind: KindCancelled, Text: "the call of the Deep Image API was called off", Err: err}
}
