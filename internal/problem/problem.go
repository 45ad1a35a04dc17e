// Package problem is the one place where an error becomes an HTTP answer: a
// problem of RFC 9457, which tells the sender the meaning and never the cause.
package problem

import (
	"cmp"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// MediaType is the Content-Type of every problem.
const MediaType = "application/problem+json"

// Details is the body of a problem.
type Details struct {
	Type      string        `json:"type"`             // stable identifier: TypePrefix and the code
	Title     string        `json:"title"`            // the meaning, the same for every problem of a type
	Status    int           `json:"status"`           // the HTTP status, once more
	Detail    string        `json:"detail"`           // what happened this time
	RequestID string        `json:"request_id"`       // by which our log tells the rest
	Errors    []event.Fault `json:"errors,omitempty"` // what is wrong with the body, for status 422
}

// Write answers r with what err means. An error that carries no event.Error, or
// one of an unknown code, is our own fault: 500. Headers that w has already,
// such as WWW-Authenticate, are kept.
func Write(w http.ResponseWriter, r *http.Request, err error) {
	send(w, Tell(w, r, err))
}

// Tell says what Write would, for a door that answers with a page, and sets the headers that go with it.
func Tell(w http.ResponseWriter, r *http.Request, err error) Details {
	meaning, known := find(err)
	told := RequestInfoFrom(r.Context())
	told.Problem, told.Err = meaning.Code, err
	switch meaning.Code {
	case event.CodeUnavailable, CodeTooManyRequests, CodeSlots:
		w.Header().Set("Retry-After", retryAfter(meaning.RetryAfter))
	}
	return Details{
		Type:      TypePrefix + string(meaning.Code),
		Title:     known.title,
		Status:    known.status,
		Detail:    cmp.Or(meaning.Detail, known.title),
		RequestID: told.ID,
		Errors:    meaning.Faults,
	}
}

// NotFound answers a request for which there is no route.
func NotFound(w http.ResponseWriter, r *http.Request) {
	Write(w, r, &event.Error{Code: CodeNotFound, Detail: "There is nothing at this address."})
}

// MethodNotAllowed answers a request with a method that its route does not have;
// allowed are those it has.
func MethodNotAllowed(w http.ResponseWriter, r *http.Request, allowed []string) {
	methods := strings.Join(allowed, ", ")
	w.Header().Set("Allow", methods)
	Write(w, r, &event.Error{Code: codeMethodNotAllowed, Detail: "This address takes " + methods + "."})
}

func find(err error) (*event.Error, kind) {
	if meaning, ok := errors.AsType[*event.Error](err); ok {
		if known, ok := kindOf(meaning.Code); ok {
			return meaning, known
		}
	}
	internal := &event.Error{Code: event.CodeInternal, Detail: "Something went wrong here; our log has it under the request id."}
	known, _ := kindOf(internal.Code)
	return internal, known
}

func send(w http.ResponseWriter, details Details) {
	body, err := json.Marshal(details)
	if err != nil { // cannot happen: there are only strings and numbers in it
		w.WriteHeader(details.Status)
		return
	}
	header := w.Header()
	header.Set("Content-Type", MediaType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(details.Status)
	_, _ = w.Write(body) // a client that is gone needs no answer
}

// The bounds of what senders are asked to wait, in seconds.
const (
	leastRetry  = 1
	usualRetry  = 5
	spreadRetry = 10
	mostRetry   = 3600
)

// retryAfter is the value of Retry-After in seconds: what is wanted, or a few
// seconds that differ from answer to answer, so that senders do not come back together.
func retryAfter(wanted time.Duration) string {
	seconds := int64(usualRetry)
	if wanted > 0 {
		seconds = int64((wanted + time.Second - 1) / time.Second)
	}
	seconds += rand.Int64N(spreadRetry)
	return strconv.FormatInt(min(max(seconds, leastRetry), mostRetry), 10)
}
