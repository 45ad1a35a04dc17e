package problem

import (
	"errors"
	"net/http"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// Code identifies a type of problem. It is the last part of the problem's type URN, and a label in logs.
type Code string

// Codes of problems.
const (
	CodeBadRequest        Code = "bad_request"
	CodeMalformed         Code = "malformed"
	CodeUnauthorized      Code = "unauthorized"
	CodeCredits           Code = "credits"
	CodeForbidden         Code = "forbidden"
	CodeCrossOrigin       Code = "cross_origin"
	CodeNotFound          Code = "not_found"
	CodeMethodNotAllowed  Code = "method_not_allowed"
	CodeIncomplete        Code = "incomplete"
	CodeConflict          Code = "conflict"
	CodeTooLarge          Code = "too_large"
	CodeUnsupportedCoding Code = "unsupported_coding"
	CodeMisdirected       Code = "misdirected"
	CodeInvalid           Code = "invalid"
	CodeRefused           Code = "refused"
	CodeTooManyRequests   Code = "too_many_requests"
	CodeSlots             Code = "slots"
	CodeHeaders           Code = "header_section"
	CodeInternal          Code = "internal"
	CodeVendor            Code = "vendor"
	CodeAuth              Code = "auth"
	CodeUnknownOutcome    Code = "unknown_outcome"
	CodeUnavailable       Code = "unavailable"
	CodeUnverified        Code = "unverified"
)

// kind is the status and the title of a code.
type kind struct {
	code   Code
	status int
	title  string
}

// kindOf returns the kind of code. For an unknown code it returns false.
func kindOf(code Code) (kind, bool) {
	table := [...]kind{
		{CodeBadRequest, http.StatusBadRequest, "Bad request"},
		{CodeMalformed, http.StatusBadRequest, "Malformed JSON"},
		{CodeUnauthorized, http.StatusUnauthorized, "Missing or invalid token"},
		{CodeCredits, http.StatusPaymentRequired, "Insufficient Deep Image credits"},
		{CodeForbidden, http.StatusForbidden, "Source address not allowed"},
		{CodeCrossOrigin, http.StatusForbidden, "Cross-origin request refused"},
		{CodeNotFound, http.StatusNotFound, "Not found"},
		{CodeMethodNotAllowed, http.StatusMethodNotAllowed, "Method not allowed"},
		// 408 and not 400: senders retry it.
		{CodeIncomplete, http.StatusRequestTimeout, "Incomplete request body"},
		{CodeConflict, http.StatusConflict, "Conflict"},
		{CodeTooLarge, http.StatusRequestEntityTooLarge, "Request body too large"},
		{CodeUnsupportedCoding, http.StatusUnsupportedMediaType, "Unsupported content coding"},
		{CodeMisdirected, http.StatusMisdirectedRequest, "Host not served here"},
		{CodeInvalid, http.StatusUnprocessableEntity, "Invalid callback"},
		{CodeRefused, http.StatusUnprocessableEntity, "Request refused by Deep Image"},
		{CodeTooManyRequests, http.StatusTooManyRequests, "Too many requests"},
		{CodeSlots, http.StatusTooManyRequests, "No free slot at Deep Image"},
		{CodeHeaders, http.StatusRequestHeaderFieldsTooLarge, "Request header section too large"},
		{CodeInternal, http.StatusInternalServerError, "Internal server error"},
		{CodeVendor, http.StatusBadGateway, "Unexpected answer from Deep Image"},
		{CodeAuth, http.StatusBadGateway, "API key refused by Deep Image"},
		{CodeUnknownOutcome, http.StatusBadGateway, "Unknown outcome of the submission"},
		{CodeUnavailable, http.StatusServiceUnavailable, "Service unavailable"},
		{CodeUnverified, http.StatusServiceUnavailable, "Too many unverified callbacks"},
	}
	for _, k := range &table {
		if k.code == code {
			return k, true
		}
	}
	return kind{}, false
}

// Error is an error that a client may see. Detail and Faults are for the client; Err is for our log only.
type Error struct {
	Code       Code
	Detail     string        // a sentence; the title if empty
	Faults     []event.Fault // for CodeInvalid
	RetryAfter time.Duration // for codes with a Retry-After header; 0 means the usual few seconds
	Err        error
}

// Error returns code, detail and cause, for logs.
func (e *Error) Error() string {
	text := string(e.Code) + ": " + e.Detail
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Unavailable returns an error for a request that cannot be served now. The client sees detail, the log also err.
func Unavailable(detail string, err error) error {
	return &Error{Code: CodeUnavailable, Detail: detail, Err: err}
}

// Of returns the first *Error in err, or makes one: the errors of event.Decode have a code each, every other error is CodeInternal.
func Of(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if malformed, ok := errors.AsType[*event.MalformedError](err); ok {
		return &Error{Code: CodeMalformed, Detail: "The body is not valid JSON: " + malformed.String() + ".", Err: err}
	}
	if invalid, ok := errors.AsType[*event.InvalidError](err); ok {
		return &Error{Code: CodeInvalid, Detail: "The body is JSON but not a Deep Image callback.", Faults: invalid.Faults, Err: err}
	}
	return &Error{Code: CodeInternal, Detail: "The request failed. The server log has the cause under the request id.", Err: err}
}

// CodeOf returns the code of Of(err).
func CodeOf(err error) Code { return Of(err).Code }
