package problem

import (
	"net/http"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// TypePrefix begins the type of every problem; its code follows.
const TypePrefix = "urn:deepimage-receiver:problem:"

// The meanings that only a door knows.
const (
	CodeNotFound         event.Code = "not_found"          // nothing has this address or name
	codeMethodNotAllowed event.Code = "method_not_allowed" // what has this address takes other methods
	CodeBadRequest       event.Code = "bad_request"        // a parameter is not understood
	CodeConflict         event.Code = "conflict"           // it does not go together with what is under way
	CodeCrossOrigin      event.Code = "cross_origin"       // the page of somebody else asks for it
	CodeMisdirected      event.Code = "misdirected"        // the request is for another host
	CodeTooManyRequests  event.Code = "too_many_requests"  // asked too often

	// What Deep Image says of a job that is submitted to it.
	CodeSlots          event.Code = "slots"           // as many jobs are under way as the plan allows
	CodeCredits        event.Code = "credits"         // the account cannot pay for it
	CodeRefused        event.Code = "refused"         // the request, or the image in it, is no good
	CodeVendor         event.Code = "vendor"          // it does not answer as it should
	CodeUnknownOutcome event.Code = "unknown_outcome" // whether it has taken the job is not known
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
	case CodeNotFound:
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
		return doorKindOf(code)
	}
}

// doorKindOf is kindOf for what is not about a callback.
func doorKindOf(code event.Code) (_ kind, known bool) {
	switch code {
	case CodeBadRequest:
		return kind{http.StatusBadRequest, "The request is not understood"}, true
	case CodeCrossOrigin:
		return kind{http.StatusForbidden, "Not from another site"}, true
	case CodeConflict:
		return kind{http.StatusConflict, "Not at the same time"}, true
	case CodeMisdirected:
		return kind{http.StatusMisdirectedRequest, "The host is not served here"}, true
	case CodeTooManyRequests:
		return kind{http.StatusTooManyRequests, "Too many attempts"}, true
	default:
		return vendorKindOf(code)
	}
}

// vendorKindOf is kindOf for what the vendor says of a submission.
func vendorKindOf(code event.Code) (_ kind, known bool) {
	switch code {
	case CodeSlots:
		return kind{http.StatusTooManyRequests, "No free slot at Deep Image"}, true
	case CodeCredits:
		return kind{http.StatusPaymentRequired, "Too few credits at Deep Image"}, true
	case CodeRefused:
		return kind{http.StatusUnprocessableEntity, "Deep Image does not take the request"}, true
	case CodeVendor:
		return kind{http.StatusBadGateway, "Deep Image does not answer as it should"}, true
	case CodeUnknownOutcome:
		return kind{http.StatusBadGateway, "Whether Deep Image has taken the job is not known"}, true
	default:
		return kind{}, false
	}
}
