// Package problem turns errors into HTTP answers: problem details as RFC 9457 defines
// them, with a code, a title and a detail, and never the cause.
package problem

import (
	"cmp"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// TypePrefix begins the type of every problem; its code follows.
const TypePrefix = "urn:deepimage-receiver:problem:"

// MediaType is the Content-Type of every problem.
const MediaType = "application/problem+json"

// Details is the body of a problem.
type Details struct {
	Type      string        `json:"type"`             // TypePrefix and the code
	Title     string        `json:"title"`            // the same for every problem of a type
	Status    int           `json:"status"`           // HTTP status
	Detail    string        `json:"detail"`           // sentence about this request
	RequestID string        `json:"request_id"`       // field of the log lines of this request
	Errors    []event.Fault `json:"errors,omitempty"` // faults of the body, for status 422
}

// Write answers r with the problem of err; see Of. An unknown code becomes CodeInternal.
// Headers that w already has, such as WWW-Authenticate, are kept.
func Write(w http.ResponseWriter, r *http.Request, err error) {
	send(w, Describe(w, r, err))
}

// Describe returns the problem that Write sends, for a listener that answers with a page.
// It sets Retry-After and records the problem in the RequestInfo of r.
func Describe(w http.ResponseWriter, r *http.Request, err error) Details {
	e := Of(err)
	k, ok := kindOf(e.Code)
	if !ok {
		e = Of(nil)
		k, _ = kindOf(e.Code)
	}
	info := RequestInfoFrom(r.Context())
	info.Problem, info.Err = e.Code, err
	switch e.Code {
	case CodeUnavailable, CodeUnverified, CodeTooManyRequests, CodeSlots:
		w.Header().Set("Retry-After", retryAfter(e.RetryAfter))
	}
	return Details{
		Type:      TypePrefix + string(e.Code),
		Title:     k.title,
		Status:    k.status,
		Detail:    cmp.Or(e.Detail, k.title),
		RequestID: info.ID,
		Errors:    e.Faults,
	}
}

// NotFound answers a request for which there is no route.
func NotFound(w http.ResponseWriter, r *http.Request) {
	Write(w, r, &Error{Code: CodeNotFound, Detail: "No route has this path."})
}

// MethodNotAllowed answers a request whose route has other methods, which are in allowed.
func MethodNotAllowed(w http.ResponseWriter, r *http.Request, allowed []string) {
	methods := strings.Join(allowed, ", ")
	w.Header().Set("Allow", methods)
	Write(w, r, &Error{Code: CodeMethodNotAllowed, Detail: "Allowed methods: " + methods + "."})
}

func send(w http.ResponseWriter, details Details) {
	body, err := json.Marshal(details)
	if err != nil { // impossible: strings and numbers only
		w.WriteHeader(details.Status)
		return
	}
	header := w.Header()
	header.Set("Content-Type", MediaType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(details.Status)
	_, _ = w.Write(body) // the client may be gone
}

// Bounds of Retry-After, in seconds.
const (
	minRetryAfter     = 1
	defaultRetryAfter = 5
	retryAfterJitter  = 10
	maxRetryAfter     = 3600
)

// retryAfter returns the value of Retry-After in seconds: wanted or the default, with jitter.
func retryAfter(wanted time.Duration) string {
	seconds := int64(defaultRetryAfter)
	if wanted > 0 {
		seconds = int64((wanted + time.Second - 1) / time.Second)
	}
	seconds += rand.Int64N(retryAfterJitter)
	return strconv.FormatInt(min(max(seconds, minRetryAfter), maxRetryAfter), 10)
}
