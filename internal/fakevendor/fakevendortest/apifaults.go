package fakevendortest

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/fakevendor"
)

// APIFaultKind is a way in which the API misbehaves.
type APIFaultKind int

// Every way to misbehave.
const (
	Refuse       APIFaultKind = iota + 1 // an error with Status, and Message as its message
	ReportStatus                         // a 200 whose status is Message
	Limit                                // the documented 429, with RetryAfter
	Gateway                              // an HTML page with Status, 0 being 502
	Truncate                             // the true answer, cut in half as if that were all
	Flood                                // the true answer behind a megabyte of white space
	Delay                                // the true answer, after Pause
	LoseAnswer                           // the call is done, and the connection cut before the answer
	Drop                                 // the connection is cut and nothing is done
	RedirectCall                         // 307 to Location
	OtherJob                             // the answer about another job
	EchoKey                              // an error with Status whose message repeats the key
)

// APIFault is one way to misbehave, for some or all calls.
type APIFault struct {
	Kind       APIFaultKind
	Call       Call          // which calls it hits; "" is every one
	KnownJob   bool          // hits only calls about a job that exists, not the check of the key at the start
	Times      int           // how many; 0 is every one
	Status     int           // for Refuse, Gateway and EchoKey; 0 is 503, for Gateway 502
	Message    string        // for Refuse and ReportStatus
	Pause      time.Duration // for Delay; 0 is until the client has gone
	RetryAfter time.Duration // for Limit, in whole seconds; 0 says nothing, as the real one does
	Location   string        // for RedirectCall
	OnHit      func()        // called for each call it hits; may be nil
}

func checkAPIFaults(faults []APIFault) error {
	for _, fault := range faults {
		switch {
		case fault.Kind < Refuse || fault.Kind > EchoKey:
			return fmt.Errorf("no such kind of fault: %d", fault.Kind)
		case fault.Status != 0 && (fault.Status < 400 || fault.Status > 599):
			return fmt.Errorf("fault with status %d", fault.Status)
		case fault.Times < 0 || fault.Pause < 0 || fault.RetryAfter < 0:
			return errors.New("fault with a negative number")
		}
	}
	return nil
}

func planAPIFaults(faults []APIFault) faultPlan[APIFault] {
	return faultPlan[APIFault]{faults: append([]APIFault(nil), faults...), times: func(t *APIFault) *int { return &t.Times }}
}

// AddAPIFaults makes the API misbehave for the calls to come, whatever job they are about. APIFaults of
// the same call follow each other.
func (v *Vendor) AddAPIFaults(faults ...APIFault) error {
	if err := checkAPIFaults(faults); err != nil {
		return fmt.Errorf("fakevendortest: add API faults: %w", err)
	}
	v.faults.add(faults...)
	return nil
}

// apiFaultOf is what goes wrong with a call: by the account's plan, by the job's, or by chance.
func (v *Vendor) apiFaultOf(call Call, number int64, about *job) APIFault {
	hits := func(t APIFault) bool { return (t.Call == "" || t.Call == call) && (about != nil || !t.KnownJob) }
	if fault := v.faults.next(hits); fault.Kind != 0 {
		return fault
	}
	if about != nil {
		if fault := about.plan.next(hits); fault.Kind != 0 {
			return fault
		}
	}
	return v.flapping().fault(call, number)
}

// faultyCall is one call of the API with its fault.
type faultyCall struct {
	w     http.ResponseWriter
	r     *http.Request
	fault APIFault
}

// serve answers the call as its fault demands; next answers as it should.
func (m faultyCall) serve(next http.HandlerFunc) {
	if m.fault.OnHit != nil {
		m.fault.OnHit()
	}
	switch m.fault.Kind {
	case Refuse:
		reply(m.w, orDefault(m.fault.Status, http.StatusServiceUnavailable), message{Message: m.fault.Message})
	case EchoKey:
		text := "the key " + m.r.Header.Get("x-api-key") + " is not liked"
		reply(m.w, orDefault(m.fault.Status, http.StatusServiceUnavailable), message{Message: text, Code: m.r.Header.Get("x-api-key")})
	case ReportStatus:
		none := ""
		reply(m.w, http.StatusOK, result{State(m.fault.Message), m.r.PathValue("job"), &none})
	case Limit:
		m.limit()
	case Gateway:
		m.page()
	case Delay:
		pause(m.r, m.fault.Pause)
		next(m.w, m.r)
	case Drop:
		panic(http.ErrAbortHandler)
	case RedirectCall:
		http.Redirect(m.w, m.r, m.fault.Location, http.StatusTemporaryRedirect)
	case Truncate, Flood, LoseAnswer, OtherJob:
		m.replaceAnswer(next)
	default:
		next(m.w, m.r)
	}
}

func (m faultyCall) limit() {
	if m.fault.RetryAfter > 0 {
		m.w.Header().Set("Retry-After", strconv.Itoa(int(m.fault.RetryAfter.Seconds())))
	}
	replyLimit(m.w)
}

func (m faultyCall) page() {
	m.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	m.w.WriteHeader(orDefault(m.fault.Status, http.StatusBadGateway))
	_, _ = m.w.Write([]byte(fakevendor.HTMLPage)) // the client may have gone
}

// replaceAnswer takes the true answer and does not send it as it is.
func (m faultyCall) replaceAnswer(next http.HandlerFunc) {
	const flood = 1 << 20
	recorded := &recorder{header: http.Header{}, status: http.StatusOK}
	next(recorded, m.r)
	body := recorded.body.String()
	switch m.fault.Kind {
	case LoseAnswer:
		panic(http.ErrAbortHandler)
	case Truncate:
		body = body[:len(body)/2]
	case Flood:
		body = strings.Repeat(" ", flood) + body
	case OtherJob:
		body = strings.ReplaceAll(body, m.r.PathValue("job"), "ce0e7624-634e-11ee-a699-0242ac14000b")
	}
	m.w.Header().Set("Content-Type", "application/json")
	m.w.WriteHeader(recorded.status)
	_, _ = m.w.Write([]byte(body)) // the client may have gone
}

// recorder records an answer instead of sending it.
type recorder struct {
	header http.Header
	status int
	body   strings.Builder
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

func replyLimit(w http.ResponseWriter) {
	reply(w, http.StatusTooManyRequests, message{Message: "Too many requests", Code: "TOO_MANY_REQUESTS"})
}
