package fakevendor

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// State is what the API says of a job; any other word than these is a status that it says.
type State string

// The states of a job. Only Complete offers images.
const (
	Received   State = "received"
	NotStarted State = "not_started"
	InProgress State = "in_progress"
	Predicting State = "predicting" // documented nowhere, and seen
	Complete   State = "complete"
	Failed     State = "failed"
	Deleted    State = "deleted" // complete once, the image removed since
	Forged     State = "forged"  // the API does not know it; the images are there to see whether somebody fetches them
)

// job is a Job as the vendor remembers it.
type job struct {
	Job
	plan  plan[Trouble]
	looks atomic.Int64 // calls of the API about it

	mutex   sync.Mutex
	state   State
	lease   int // addresses given before this one have expired
	expired int // the status they answer with
}

func newJob(options JobOptions) *job {
	made := &job{Job: Job{ID: options.ID, options: options}, plan: troublesOf(options.Troubles), state: options.State}
	if options.Expired != 0 {
		made.expire(options.Expired)
	}
	return made
}

func (j *job) now() State {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.state
}

func (j *job) become(state State) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.state = state
}

func (j *job) expire(status int) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.lease++
	j.expired = status
}

// answer is what the API says of the job.
func (j *job) answer() (status int, said any) {
	switch state := j.now(); state {
	case Forged:
		return http.StatusNotFound, message{Message: "Job not found"}
	case Failed:
		return http.StatusInternalServerError, message{Message: "Image processing failed", Status: Failed, Job: j.ID}
	case Deleted:
		return http.StatusNotFound, message{Message: "Image deleted", Status: Complete}
	case Complete:
		return http.StatusOK, result{Complete, j.ID, j.told()}
	default:
		none := ""
		return http.StatusOK, result{state, j.ID, &none}
	}
}

// told is the address that the API gives.
func (j *job) told() *string {
	address := j.ResultURL
	switch j.options.APIShape {
	case ResultStorage:
		address = storageURL
	case ResultMissing:
		return nil
	default:
		address = j.leased(address)
	}
	return &address
}

// leased marks an address as one that was given after the others had expired.
func (j *job) leased(address string) string {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	if j.lease == 0 {
		return address
	}
	mark := "?"
	if strings.Contains(address, "?") {
		mark = "&"
	}
	return address + mark + "lease=" + strconv.Itoa(j.lease)
}

// refuses says with what status an image of the job is refused, 0 if it is not.
func (j *job) refuses(r *http.Request) (status int) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	lease, err := strconv.Atoi(r.URL.Query().Get("lease"))
	switch {
	case j.state != Complete && j.state != Forged:
		return http.StatusNotFound
	case j.lease > 0 && (err != nil || lease < j.lease):
		return j.expired
	default:
		return 0
	}
}

// SetState changes what the API says of a job from now on.
func (v *Vendor) SetState(id string, state State) error {
	found := v.job(id)
	if found == nil {
		return fmt.Errorf("fakevendor: there is no job %q", id)
	}
	found.become(state)
	return nil
}

// Expire makes every address that was given of a job's images answer with status, such as 403;
// the API gives new ones.
func (v *Vendor) Expire(id string, status int) error {
	found := v.job(id)
	if found == nil {
		return fmt.Errorf("fakevendor: there is no job %q", id)
	}
	found.expire(status)
	return nil
}
