package httpserver

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/deepimage-receiver/receiver/internal/sanitize"
	"github.com/go-chi/chi/v5"
	"github.com/rs/zerolog"
)

// Longest texts in the access log, in bytes.
const (
	maxUserAgent = 120
	maxCause     = 500
	maxStack     = 16 << 10
)

// requestLog collects the access log line of one request.
type requestLog struct {
	info     problem.RequestInfo
	response response
	body     body
	started  time.Time
}

// logRequests is the outermost middleware. It sets the request id and the security headers,
// answers for a handler that panicked, and writes the access log line.
func (s *Server) logRequests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l := &requestLog{info: problem.RequestInfo{ID: rand.Text()}, started: time.Now()}
		r = l.wrap(w, r, s.config)
		setSecurityHeaders(w.Header(), l.info.ID)
		defer s.finish(l, r)
		defer s.recoverPanic(l, r)
		next.ServeHTTP(&l.response, r)
	})
}

// wrap puts l around the body, the response and the context of r.
func (l *requestLog) wrap(w http.ResponseWriter, r *http.Request, config Config) *http.Request {
	connection := connectionOf(r)
	r = r.WithContext(problem.WithRequestInfo(r.Context(), &l.info))
	l.body = body{ReadCloser: r.Body, ended: r.ContentLength == 0, connection: connection}
	if l.body.ended {
		connection.setPhase(phaseBusy)
	} else {
		l.body.throughput = newThroughput(http.NewResponseController(w), r.ContentLength, config.ReadTimeout)
		connection.setPhase(phaseBody)
	}
	l.response = response{ResponseWriter: w, body: &l.body}
	r.Body = &l.body
	return r
}

// setSecurityHeaders sets the headers of every response.
func setSecurityHeaders(header http.Header, id string) {
	header.Set("X-Request-Id", id)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
}

// recoverPanic answers 500 for a handler that panicked. If the response has begun, it aborts the connection.
func (s *Server) recoverPanic(l *requestLog, r *http.Request) {
	value := recover()
	if value == nil {
		return
	}
	if err, ok := value.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(http.ErrAbortHandler)
	}
	stack := debug.Stack()
	s.log.Error().Str("request_id", l.info.ID).Str("panic", sanitize.Clip(fmt.Sprint(value), maxCause)).
		Bytes("stack", stack[:min(len(stack), maxStack)]).Msg("panic while serving request")
	if l.response.status != 0 {
		panic(http.ErrAbortHandler)
	}
	problem.Write(&l.response, r, fmt.Errorf("panic: %v", value))
}

// finish counts the request, writes its access log line, and lingers for a client that still sends.
func (s *Server) finish(l *requestLog, r *http.Request) {
	pattern := chi.RouteContext(r.Context()).RoutePattern()
	s.metrics.count(l, r, pattern)
	level, dropped := s.accessLevel(l, r, pattern)
	if line := s.log.WithLevel(level); line.Enabled() {
		if dropped > 0 {
			line.Int("dropped_lines", dropped)
		}
		l.describe(line, r, pattern)
		l.send(line)
	}
	l.response.lingerClose(r)
}

// accessLevel returns the level of an access log line: debug for routine requests, warn for failures of ours. Refusals of
// tokens and warnings are limited by rate; dropped is the number of lines that were dropped since the last one.
func (s *Server) accessLevel(l *requestLog, r *http.Request, pattern string) (level zerolog.Level, dropped int) {
	if s.routine(r, pattern, l.response.status) {
		return zerolog.DebugLevel, 0
	}
	switch l.info.Problem {
	case problem.CodeUnauthorized:
		ok, dropped := s.unauthorizedLog.allow()
		if !ok {
			return zerolog.DebugLevel, 0
		}
		return zerolog.InfoLevel, dropped
	case problem.CodeUnavailable, problem.CodeInternal:
		if ok, dropped := s.ownFaultLog.allow(); ok && !s.stopping.Load() {
			return zerolog.WarnLevel, dropped
		}
	}
	return zerolog.InfoLevel, 0
}

// logLimit bounds the lines of one kind to maxLines in a minute.
type logLimit struct {
	mutex   sync.Mutex
	began   time.Time
	lines   int
	dropped int
}

// maxLines is the number of lines of one kind in a minute.
const maxLines = 10

// allow reports whether a line may be written now, and how many were dropped since the last one.
func (l *logLimit) allow() (ok bool, dropped int) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if now := time.Now(); now.Sub(l.began) >= time.Minute {
		l.began, l.lines = now, 0
	}
	if l.lines == maxLines {
		l.dropped++
		return false, 0
	}
	l.lines++
	dropped, l.dropped = l.dropped, 0
	return true, dropped
}

// send writes the line.
func (l *requestLog) send(line *zerolog.Event) {
	switch {
	case l.info.Problem != "":
		line.Msg("request refused")
	case l.info.Receipt.ID != "":
		line.Msg("callback accepted")
	default:
		line.Msg("request served")
	}
}

// describe adds the fields of the access log. Path and query are left out because they may contain the token.
func (l *requestLog) describe(line *zerolog.Event, r *http.Request, pattern string) {
	line.Str("method", methodName(r.Method)).Str("route", pattern).Int("status", l.response.status).
		Int64("bytes_in", l.body.bytes).Int64("bytes_out", l.response.bytes).
		Float64("duration_ms", float64(time.Since(l.started).Microseconds())/1000).
		Str("request_id", l.info.ID).Str("client", clientIPText(l.info.Client))
	if agent := r.UserAgent(); agent != "" {
		line.Str("user_agent", sanitize.Clip(agent, maxUserAgent))
	}
	if receipt := l.info.Receipt; receipt.ID != "" {
		line.Fields(l.info.Names.Fields()).Str("event", string(receipt.ID)).Str("job", l.info.Job).Bool("duplicate", receipt.Duplicate)
		if l.info.NameChanged {
			line.Bool("reference_changed", true)
		}
		if l.info.Defects > 0 {
			line.Int("defects", l.info.Defects)
		}
	}
	if l.info.Problem != "" {
		line.Str("problem", string(l.info.Problem)).Str("error", sanitize.Clip(fmt.Sprint(l.info.Err), maxCause))
	}
}

// methodName returns a standard method, or OTHER, so that the set of metric labels is fixed.
func methodName(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	default:
		return "OTHER"
	}
}
