package problem

import (
	"net/http"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// TypePrefix begins the type of every problem; its code follows.
const TypePrefix = "urn:deepimage-receiver:problem:"

// The meanings that only a router knows.
const (
	codeNotFound         event.Code = "not_found"
	codeMethodNotAllowed event.Code = "method_not_allowed"
)

type kind struct {
	status int
	title  string
}

// kindOf gives every meaning its status. A body that broke off is a 408 and not a
// 400, because senders take the first for a reason to try again.
func kindOf(code event.Code) (_ kind, known bool) {
	switch code {
	case event.CodeMalformed:
		return kind{http.StatusBadRequest, "The body is not valid JSON"}, true
	case event.CodeUnauthorized:
		return kind{http.StatusUnauthorized, "The token is missing or wrong"}, true
	case event.CodeForbidden:
		return kind{http.StatusForbidden, "The source address is not allowed"}, true
	case codeNotFound:
		return kind{http.StatusNotFound, "Not found"}, true
	case codeMethodNotAllowed:
		return kind{http.StatusMethodNotAllowed, "Method not allowed"}, true
	case event.CodeIncomplete:
		return kind{http.StatusRequestTimeout, "The body did not arrive whole"}, true
	case event.CodeTooLarge:
		return kind{http.StatusRequestEntityTooLarge, "The body is too large"}, true
	case event.CodeInvalid:
		return kind{http.StatusUnprocessableEntity, "The body is not a Deep Image event"}, true
	case event.CodeHeaders:
		return kind{http.StatusRequestHeaderFieldsTooLarge, "The header section is too large"}, true
	case event.CodeInternal:
		return kind{http.StatusInternalServerError, "Internal error"}, true
	case event.CodeUnavailable:
		return kind{http.StatusServiceUnavailable, "Not able to take this now"}, true
	default:
		return kind{}, false
	}
}
