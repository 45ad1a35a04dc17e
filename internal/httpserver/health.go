package httpserver

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/deepimage-receiver/receiver/internal/sanitize"
	"github.com/rs/zerolog"
)

const (
	checkTimeout  = 3 * time.Second // of all checks together
	checkValidFor = time.Second     // so that requests cannot keep the disk busy
)

// Check is a condition of readiness.
type Check struct {
	Name string                          // lower case, such as store
	Run  func(ctx context.Context) error // returns when ctx is done
	// Optional makes a failure a warning: callbacks are accepted without what is checked.
	Optional bool
}

// readiness runs the checks for one request at a time and caches the result for checkValidFor.
type readiness struct {
	checks []Check
	log    zerolog.Logger
	mutex  chan struct{} // a mutex whose wait ends with a context
	ran    time.Time     // guarded by mutex
	failed []string      // guarded by mutex: names of the failed checks
	warned []string      // guarded by mutex: names of the optional ones that failed
}

func newReadiness(checks []Check, log zerolog.Logger) *readiness {
	return &readiness{checks: checks, log: log, mutex: make(chan struct{}, 1)}
}

// failures returns the names of the failed checks, and of the optional ones that failed. ctx bounds the wait for other callers; the
// checks have their own deadline because their result is shared.
func (c *readiness) failures(ctx context.Context) (failed, warned []string, err error) {
	select {
	case c.mutex <- struct{}{}:
		defer func() { <-c.mutex }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	if c.ran.IsZero() || time.Since(c.ran) >= checkValidFor {
		c.run(ctx)
	}
	return c.failed, c.warned, nil
}

func (c *readiness) run(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer cancel()
	var failed, warned []string
	for _, check := range c.checks {
		err := check.Run(ctx)
		switch {
		case err == nil:
		case check.Optional:
			warned = append(warned, check.Name)
			c.logFailure(check.Name, err, len(c.warned) > 0)
		default:
			failed = append(failed, check.Name)
			c.logFailure(check.Name, err, len(c.failed) > 0)
		}
	}
	if len(failed)+len(warned) == 0 && len(c.failed)+len(c.warned) > 0 {
		c.log.Info().Msg("readiness checks passed again")
	}
	c.failed, c.warned, c.ran = failed, warned, time.Now()
}

// logFailure logs a failed check, unless one of its kind had failed before.
func (c *readiness) logFailure(name string, err error, before bool) {
	if !before {
		c.log.Warn().Str("check", name).Str("error", sanitize.Clip(err.Error(), maxCause)).Msg("readiness check failed")
	}
}

// ready answers GET /readyz.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if s.draining.Load() {
		problem.Write(w, r, problem.Unavailable("The receiver is shutting down.", nil))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
	defer cancel()
	failed, warned, err := s.readiness.failures(ctx)
	switch {
	case err != nil:
		problem.Write(w, r, problem.Unavailable("Not ready: the checks timed out.", err))
	case len(failed) > 0:
		problem.Write(w, r, problem.Unavailable("Not ready: "+strings.Join(failed, ", ")+".", nil))
	default:
		writeJSON(w, func(b []byte) []byte { return s.readiness.passed(b, warned) })
	}
}

// passed appends the answer of a ready receiver.
func (c *readiness) passed(b []byte, warned []string) []byte {
	b = append(b, `{"status":"ready","checks":{`...)
	for i, check := range c.checks {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendQuote(b, check.Name)
		if slices.Contains(warned, check.Name) {
			b = append(b, `:"warning"`...)
		} else {
			b = append(b, `:"ok"`...)
		}
	}
	return append(b, "}}\n"...)
}

// live answers GET /livez and GET /healthz.
func live(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, func(b []byte) []byte { return append(b, `{"status":"ok"}`+"\n"...) })
}

func writeJSON(w http.ResponseWriter, appendTo func([]byte) []byte) {
	body := appendTo(nil)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the client may be gone
}

func isHealth(pattern string) bool {
	return pattern == livePath || pattern == healthyPath || pattern == readyPath
}
