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

// TroubleKind is a way in which the API misbehaves.
type TroubleKind int

// Every way to misbehave.
const (
	Refuse  TroubleKind = iota + 1 // an error with Status, and Says as its message
	Say                            // a 200 whose status is Says
	Limit                          // the documented 429, with RetryAfter
	Gateway                        // an HTML page with Status, 0 being 502
	Cut                            // the true answer, cut in half as if that were all
	Flood                          // the true answer behind a megabyte of white space
	Lag                            // the true answer, after Pause
	Swallow                        // the call is done, and the connection cut before the answer
	Drop                           // the connection is cut and nothing is done
	Bounce                         // 307 to Location
	Mixup                          // the answer about another job
	Mirror                         // an error with Status whose message repeats the key
)

// Trouble is one way to misbehave, for some or all calls.
type Trouble struct {
	Kind       TroubleKind
	Call       Call          // which calls it hits; "" is every one
	Times      int           // how many; 0 is every one
	Status     int           // for Refuse, Gateway and Mirror; 0 is 503, for Gateway 502
	Says       string        // for Refuse and Say
	Pause      time.Duration // for Lag; 0 is until the client has gone
	RetryAfter time.Duration // for Limit, in whole seconds; 0 says nothing, as the real one does
	Location   string        // for Bounce
	Struck     func()        // called each time it strikes; may be nil
}

func checkTroubles(troubles []Trouble) error {
	for _, trouble := range troubles {
		switch {
		case trouble.Kind < Refuse || trouble.Kind > Mirror:
			return fmt.Errorf("no such kind of trouble: %d", trouble.Kind)
		case trouble.Status != 0 && (trouble.Status < 400 || trouble.Status > 599):
			return fmt.Errorf("trouble with status %d", trouble.Status)
		case trouble.Times < 0 || trouble.Pause < 0 || trouble.RetryAfter < 0:
			return errors.New("trouble with a negative number")
		}
	}
	return nil
}

func planTroubles(troubles []Trouble) faultPlan[Trouble] {
	return faultPlan[Trouble]{faults: append([]Trouble(nil), troubles...), times: func(t *Trouble) *int { return &t.Times }}
}

// Disturb makes the API misbehave for the calls to come, whatever job they are about. Troubles of
// the same call follow each other.
func (v *Vendor) Disturb(troubles ...Trouble) error {
	if err := checkTroubles(troubles); err != nil {
		return fmt.Errorf("fakevendortest: disturb: %w", err)
	}
	v.troubles.add(troubles...)
	return nil
}

// troubleOf is what goes wrong with a call: by the account's plan, by the job's, or by chance.
func (v *Vendor) troubleOf(call Call, number int64, about *job) Trouble {
	hits := func(t Trouble) bool { return t.Call == "" || t.Call == call }
	if trouble := v.troubles.next(hits); trouble.Kind != 0 {
		return trouble
	}
	if about != nil {
		if trouble := about.plan.next(hits); trouble.Kind != 0 {
			return trouble
		}
	}
	return v.flapping().trouble(call, number)
}

// troubled is one call of the API with its trouble.
type troubled struct {
	w       http.ResponseWriter
	r       *http.Request
	trouble Trouble
}

// serve answers the call as its trouble demands; next answers as it should.
func (m troubled) serve(next http.HandlerFunc) {
	if m.trouble.Struck != nil {
		m.trouble.Struck()
	}
	switch m.trouble.Kind {
	case Refuse:
		reply(m.w, orDefault(m.trouble.Status, http.StatusServiceUnavailable), message{Message: m.trouble.Says})
	case Mirror:
		text := "the key " + m.r.Header.Get("x-api-key") + " is not liked"
		reply(m.w, orDefault(m.trouble.Status, http.StatusServiceUnavailable), message{Message: text, Code: m.r.Header.Get("x-api-key")})
	case Say:
		none := ""
		reply(m.w, http.StatusOK, result{State(m.trouble.Says), m.r.PathValue("job"), &none})
	case Limit:
		m.limit()
	case Gateway:
		m.page()
	case Lag:
		pause(m.r, m.trouble.Pause)
		next(m.w, m.r)
	case Drop:
		panic(http.ErrAbortHandler)
	case Bounce:
		http.Redirect(m.w, m.r, m.trouble.Location, http.StatusTemporaryRedirect)
	case Cut, Flood, Swallow, Mixup:
		m.spoil(next)
	default:
		next(m.w, m.r)
	}
}

func (m troubled) limit() {
	if m.trouble.RetryAfter > 0 {
		m.w.Header().Set("Retry-After", strconv.Itoa(int(m.trouble.RetryAfter.Seconds())))
	}
	replyLimit(m.w)
}

func (m troubled) page() {
	m.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	m.w.WriteHeader(orDefault(m.trouble.Status, http.StatusBadGateway))
	_, _ = m.w.Write([]byte(fakevendor.HTMLPage)) // the client may have gone
}

// spoil takes the true answer and does not send it as it is.
func (m troubled) spoil(next http.HandlerFunc) {
	const flood = 1 << 20
	kept := &keeper{header: http.Header{}, status: http.StatusOK}
	next(kept, m.r)
	body := kept.body.String()
	switch m.trouble.Kind {
	case Swallow:
		panic(http.ErrAbortHandler)
	case Cut:
		body = body[:len(body)/2]
	case Flood:
		body = strings.Repeat(" ", flood) + body
	case Mixup:
		body = strings.ReplaceAll(body, m.r.PathValue("job"), "ce0e7624-634e-11ee-a699-0242ac14000b")
	}
	m.w.Header().Set("Content-Type", "application/json")
	m.w.WriteHeader(kept.status)
	_, _ = m.w.Write([]byte(body)) // the client may have gone
}

// keeper keeps an answer instead of sending it.
type keeper struct {
	header http.Header
	status int
	body   strings.Builder
}

func (k *keeper) Header() http.Header         { return k.header }
func (k *keeper) WriteHeader(status int)      { k.status = status }
func (k *keeper) Write(p []byte) (int, error) { return k.body.Write(p) }

func replyLimit(w http.ResponseWriter) {
	reply(w, http.StatusTooManyRequests, message{Message: "Too many requests", Code: "TOO_MANY_REQUESTS"})
}
