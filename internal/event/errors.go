package event

import (
	"errors"
	"time"
)

// Code is the meaning of an error at the doors, independent of HTTP. Package
// problem holds the one table that turns it into an answer.
type Code string

// Every meaning an error can have at the doors.
const (
	CodeMalformed    Code = "malformed"      // the body is not JSON as we demand it
	CodeInvalid      Code = "invalid"        // JSON, but not an event
	CodeUnauthorized Code = "unauthorized"   // no token, or a wrong one
	CodeForbidden    Code = "forbidden"      // the source address is not allowed
	CodeTooLarge     Code = "too_large"      // the body is over the limit
	CodeHeaders      Code = "header_section" // the header section is over the limit
	CodeIncomplete   Code = "incomplete"     // the body broke off or came too slowly
	CodeUnavailable  Code = "unavailable"    // we cannot take it now: full, busy, draining, no store
	CodeInternal     Code = "internal"       // our own fault
)

// Fault is one thing wrong with a body that is JSON but not an event.
type Fault struct {
	Pointer string `json:"pointer"` // JSON pointer (RFC 6901) to the place, "" for the whole
	Detail  string `json:"detail"`  // a sentence for a person
}

// Error is an error whose meaning the sender may know. Detail and Faults are
// written for him; Err is ours and never leaves the process.
type Error struct {
	Code       Code
	Detail     string
	Faults     []Fault       // for CodeInvalid
	RetryAfter time.Duration // for those that may be tried again; 0 lets package problem choose
	Err        error
}

// Error says the meaning, the detail and the cause, for logs.
func (e *Error) Error() string {
	text := string(e.Code) + ": " + e.Detail
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf is the meaning that err carries, or CodeInternal when it carries none.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}

// Unavailable says that we cannot take an event now. Detail is for the sender, err for the log.
func Unavailable(detail string, err error) error {
	return &Error{Code: CodeUnavailable, Detail: detail, Err: err}
}
