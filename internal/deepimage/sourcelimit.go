package deepimage

import (
	"net/netip"
	"time"

	"github.com/deepimage-receiver/receiver/internal/sourcelimit"
)

// sourceLimit keeps one source from using up the rate limit with invented jobs. A source is charged only for lookups
// of jobs that the API does not know or whose id it does not accept. The vendor's own addresses, from which all
// genuine callbacks come, are therefore never charged. Callbacks without a known source are not limited.
type sourceLimit struct{ limiter *sourcelimit.Limiter }

func newSourceLimit(perMinute int) sourceLimit {
	return sourceLimit{sourcelimit.New(perMinute, time.Minute/time.Duration(perMinute))}
}

// check returns an error of KindSource for a source that must wait, else nil.
func (l sourceLimit) check(source netip.Addr, now time.Time) *Error {
	if !source.IsValid() {
		return nil
	}
	wait := l.limiter.Wait(source, now)
	if wait <= 0 {
		return nil
	}
	failed := failf(KindSource, "callbacks from %s named too many jobs that the Deep Image API does not know; this job was not looked up yet",
		sourcelimit.Source(source))
	failed.After = wait
	return failed
}

func (l sourceLimit) charge(source netip.Addr, now time.Time) {
	if source.IsValid() {
		l.limiter.Charge(source, now)
	}
}
