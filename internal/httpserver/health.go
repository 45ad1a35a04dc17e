package httpserver

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/rs/zerolog"
)

const (
	checkTimeout  = 3 * time.Second // of all checks together
	checkValidFor = time.Second     // so that strangers cannot make the disk busy by asking
)

// Check is one thing that must be in order for the receiver to be ready.
type Check struct {
	Name string                          // lower case, such as store
	Run  func(ctx context.Context) error // must end when ctx does
}

// readiness runs the checks, one request at a time, and remembers for a moment how they ended.
type readiness struct {
	checks []Check
	log    zerolog.Logger
	turn   chan struct{} // holds a token while somebody looks
	looked time.Time     // guarded by turn, like what follows
	failed []string      // names of the checks that did not pass
}

func newReadiness(checks []Check, log zerolog.Logger) *readiness {
	return &readiness{checks: checks, log: log, turn: make(chan struct{}, 1)}
}

// look gives the names of the checks that fail. ctx bounds the wait for others
// who look; the checks themselves have a deadline of their own, because their
// outcome is for everybody.
func (c *readiness) look(ctx context.Context) ([]string, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if c.looked.IsZero() || time.Since(c.looked) >= checkValidFor {
		c.run(ctx)
	}
	return c.failed, nil
}

func (c *readiness) run(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer cancel()
	var failed []string
	for _, check := range c.checks {
		if err := check.Run(ctx); err != nil {
			failed = append(failed, check.Name)
			c.tell(check.Name, err)
		}
	}
	if len(failed) == 0 && len(c.failed) > 0 {
		c.log.Info().Msg("ready again")
	}
	c.failed, c.looked = failed, time.Now()
}

// tell logs a failed check, unless another one had failed before: one line is
// enough until the receiver is ready again.
func (c *readiness) tell(name string, err error) {
	if len(c.failed) == 0 {
		c.log.Warn().Str("check", name).Str("error", shorten(err.Error(), maxCause)).Msg("not ready")
	}
}

// ready answers GET /readyz.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if s.draining.Load() {
		problem.Write(w, r, problem.Unavailable("The receiver is stopping.", nil))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
	defer cancel()
	failed, err := s.readiness.look(ctx)
	switch {
	case err != nil:
		problem.Write(w, r, problem.Unavailable("Not ready: the checks take too long.", err))
	case len(failed) > 0:
		problem.Write(w, r, problem.Unavailable("Not ready: "+strings.Join(failed, ", ")+".", nil))
	default:
		writeJSON(w, s.readiness.passed)
	}
}

// passed is the answer when every check passes.
func (c *readiness) passed(b []byte) []byte {
	b = append(b, `{"status":"ready","checks":{`...)
	for i, check := range c.checks {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendQuote(b, check.Name)
		b = append(b, `:"ok"`...)
	}
	return append(b, "}}\n"...)
}

// live answers GET /livez and /healthz: whoever can answer, lives.
func live(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, func(b []byte) []byte { return append(b, `{"status":"ok"}`+"\n"...) })
}

func writeJSON(w http.ResponseWriter, appendTo func([]byte) []byte) {
	body := appendTo(nil)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a client that is gone needs no answer
}

func isHealth(pattern string) bool {
	return pattern == livePath || pattern == healthyPath || pattern == readyPath
}
