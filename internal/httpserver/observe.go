package httpserver

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/go-chi/chi/v5"
	"github.com/rs/zerolog"
)

// Bounds of texts in the access line, in bytes.
const (
	maxUserAgent = 120
	maxCause     = 500
	maxStack     = 16 << 10
)

// visit is a request while it is served.
type visit struct {
	exchange problem.RequestInfo
	response response
	body     body
	started  time.Time
}

// observe is around everything: it gives the request its id and its access line,
// and turns a panic into an answer.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{exchange: problem.RequestInfo{ID: rand.Text()}, started: time.Now()}
		r = v.wrap(w, r)
		protect(w.Header(), v.exchange.ID)
		defer s.finish(v, r)
		defer s.rescue(v, r)
		next.ServeHTTP(&v.response, r)
	})
}

// wrap puts the visit around the body, the answer and the context of a request.
func (v *visit) wrap(w http.ResponseWriter, r *http.Request) *http.Request {
	r = r.WithContext(problem.WithRequestInfo(r.Context(), &v.exchange))
	v.body = body{ReadCloser: r.Body, ended: r.ContentLength == 0}
	v.response = response{ResponseWriter: w, body: &v.body}
	r.Body = &v.body
	return r
}

// protect sets the headers that every answer has.
func protect(header http.Header, id string) {
	header.Set("X-Request-Id", id)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
}

// rescue answers for a handler that panicked, or breaks the connection if it had begun to answer.
func (s *Server) rescue(v *visit, r *http.Request) {
	fault := recover()
	if fault == nil {
		return
	}
	if err, ok := fault.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(http.ErrAbortHandler)
	}
	stack := debug.Stack()
	s.log.Error().Str("request_id", v.exchange.ID).Str("panic", shorten(fmt.Sprint(fault), maxCause)).
		Bytes("stack", stack[:min(len(stack), maxStack)]).Msg("a request made the receiver panic")
	if v.response.status != 0 {
		panic(http.ErrAbortHandler)
	}
	problem.Write(&v.response, r, fmt.Errorf("panic: %v", fault))
}

// finish writes the access line, and then lets a client that still sends see its answer.
func (s *Server) finish(v *visit, r *http.Request) {
	pattern := chi.RouteContext(r.Context()).RoutePattern()
	s.metrics.count(r, pattern, v.response.status, time.Since(v.started))
	line := s.log.Info()
	if s.routine(r, pattern, v.response.status) {
		line = s.log.Debug()
	}
	if line.Enabled() {
		v.describe(line, r, pattern)
		line.Msg("request")
	}
	v.response.linger(r)
}

// describe tells the visit. The path and the query are left out, because the token may be in them.
func (v *visit) describe(line *zerolog.Event, r *http.Request, pattern string) {
	line.Str("method", methodName(r.Method)).Str("route", pattern).Int("status", v.response.status).
		Int64("bytes_in", v.body.bytes).Int64("bytes_out", v.response.bytes).
		Float64("duration_ms", float64(time.Since(v.started).Microseconds())/1000).
		Str("request_id", v.exchange.ID).Str("client", clientName(v.exchange.Client))
	if agent := r.UserAgent(); agent != "" {
		line.Str("user_agent", shorten(agent, maxUserAgent))
	}
	if receipt := v.exchange.Receipt; receipt.ID != "" {
		line.Str("event", string(receipt.ID)).Str("job", v.exchange.Job).Bool("duplicate", receipt.Duplicate)
	}
	if v.exchange.Problem != "" {
		line.Str("problem", string(v.exchange.Problem)).Str("error", shorten(fmt.Sprint(v.exchange.Err), maxCause))
	}
}

// methodName is a method of the HTTP standard, or OTHER for what a stranger made up.
func methodName(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	default:
		return "OTHER"
	}
}

func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
