package event

import (
	"cmp"
	"encoding/json"
	"strings"
	"time"
	"unicode"
)

// Rejection is the body of an authenticated callback that was not accepted. A bounded number is kept.
type Rejection struct {
	ID       int64 // number in its store
	Received time.Time
	Code     RejectionCode
	Detail   string // answer to the sender
	Body     []byte // byte for byte
}

// RejectionCode says why a callback was not accepted.
type RejectionCode string

// Codes of rejections.
const (
	RejectedMalformed RejectionCode = "malformed" // see MalformedError
	RejectedInvalid   RejectionCode = "invalid"   // see InvalidError
	RejectedCoding    RejectionCode = "unsupported_coding"
)

// Event returns the event of a rejection that a person accepts. job and resultURL replace what is in the body; "" means the body
// counts. If Decode reads the body now, it is the body of the event. Otherwise the event has a new body with job, result_url
// and the rejected body in rejected_body, in base64. Event fails with an *InvalidError if there is no valid job.
func (r Rejection) Event(job, resultURL string) (Event, error) {
	e, err := Decode(r.Body)
	if err != nil || job != "" && job != e.Job || resultURL != "" && resultURL != e.ResultURL {
		foundJob, foundURL := readMembers(r.Body)
		body, err := json.Marshal(struct {
			Job          string `json:"job"`
			ResultURL    string `json:"result_url"`
			RejectedBody []byte `json:"rejected_body"`
		}{cmp.Or(job, foundJob), cmp.Or(resultURL, foundURL), r.Body})
		if err != nil {
			return Event{}, err
		}
		if e, err = Decode(body); err != nil {
			return Event{}, err
		}
	}
	e.Received, e.Origin = r.Received, OriginRejection
	return e, nil
}

// Members returns the job and the result URL of Event if a person passes neither; "" for one that has no valid value in the body.
func (r Rejection) Members() (job, resultURL string) {
	if e, err := Decode(r.Body); err == nil {
		return e.Job, e.ResultURL
	}
	job, resultURL = readMembers(r.Body)
	if len(job) > MaxJobBytes || strings.ContainsFunc(job, unicode.IsControl) {
		job = ""
	}
	if len(resultURL) > MaxURLBytes {
		resultURL = ""
	}
	return job, resultURL
}

// readMembers returns job and result_url of a body that Decode refuses, as far as it can be read; "" for a value that occurs twice
// in different forms.
func readMembers(body []byte) (job, resultURL string) {
	found := map[string]string{}
	l := newLexer(body)
	_ = l.members(func(name, value []byte, _ int) error { // the members before an error count
		for _, known := range []string{"job", "result_url"} {
			if !isName(name, known) || value[0] != '"' {
				continue
			}
			text, err := "", error(nil)
			if len(value) <= maxWritten(MaxURLBytes) { // a longer one is not valid
				text, err = unquote(repairString(value))
			}
			if before, repeated := found[known]; err != nil || repeated && before != text {
				text = ""
			}
			found[known] = text
		}
		return nil
	})
	return found["job"], found["result_url"]
}
