package loadtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	"github.com/deepimage-receiver/receiver/internal/fakevendor"
)

// Ledger records which callbacks were sent and which of them a receiver acknowledged. It is safe for concurrent use.
type Ledger struct {
	mutex        sync.Mutex
	sent         map[string]fakevendor.Job // by job
	forged       map[string]bool           // by job
	acknowledged map[string]string         // event by job
	repeats      int                       // answers that named the first event again
	faults       []string                  // answers that break the contract
}

// NewLedger returns an empty ledger.
func NewLedger() *Ledger {
	return &Ledger{sent: map[string]fakevendor.Job{}, forged: map[string]bool{}, acknowledged: map[string]string{}}
}

// Send records a job before its callback is sent.
func (l *Ledger) Send(job fakevendor.Job) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.sent[job.ID] = job
}

// Forge records a job of which only a forger sends a callback: its event must not be done.
func (l *Ledger) Forge(job fakevendor.Job) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.forged[job.ID] = true
}

// Answer records the response to a callback. Only 200 acknowledges.
func (l *Ledger) Answer(status int, body []byte) {
	if status != http.StatusOK {
		return
	}
	var accepted struct{ ID, Job string }
	err := json.Unmarshal(body, &accepted)
	l.mutex.Lock()
	defer l.mutex.Unlock()
	_, sent := l.sent[accepted.Job]
	first, repeated := l.acknowledged[accepted.Job]
	switch {
	case err != nil || accepted.ID == "" || !sent && !l.forged[accepted.Job]:
		l.faults = append(l.faults, fmt.Sprintf("answer 200 names no callback that was sent: %.200q", body))
	case repeated && first != accepted.ID:
		l.faults = append(l.faults, fmt.Sprintf("job %s was acknowledged as event %s, then as %s", accepted.Job, first, accepted.ID))
	case repeated:
		l.repeats++
	case sent:
		l.acknowledged[accepted.Job] = accepted.ID
	}
}

// Acknowledged returns how many events were acknowledged.
func (l *Ledger) Acknowledged() int {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return len(l.acknowledged)
}
