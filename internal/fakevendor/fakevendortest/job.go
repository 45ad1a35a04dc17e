package fakevendortest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/deepimage-receiver/receiver/internal/fakevendor"
)

// State is the status of a job in the API. Other values than these are possible.
type State string

// The states of a job. Only Complete offers images.
const (
	Received   State = "received"
	NotStarted State = "not_started"
	InProgress State = "in_progress"
	Predicting State = "predicting" // undocumented, but observed
	Complete   State = "complete"
	Failed     State = "failed"
	Deleted    State = "deleted" // complete once, the image removed since
	Forged     State = "forged"  // the API does not know it; its images are hosted so that requests for them are counted
)

// job is a Job as the vendor remembers it.
type job struct {
	Job
	options JobOptions
	plan    faultPlan[APIFault]
	looks   atomic.Int64 // calls of the API about it

	mutex   sync.Mutex
	state   State
	lease   int // addresses with a lower number have expired
	expired int // status of expired addresses
}

// JobOptions describe a job; the zero value is one PNG of 320 by 200 pixels, delivered as documented.
type JobOptions struct {
	ID     string // "" makes a version 1 UUID
	Images int    // how many; 0 is 1
	Format Format // "" is PNG
	Width  int    // pixels; 0 is 320
	Height int    // pixels; 0 is 200
	Bytes  int64  // about the length of a PNG, instead of Width and Height
	Seed   uint64 // chooses the picture; 0 derives one from the job's id

	FileName string // the last segment of the images' addresses; "" is a UUID and the extension
	Query    string // appended to the images' addresses, as a signed query would be
	NoETag   bool   // the host sends no validator, so that a broken transfer cannot be resumed
	Faults   []Fault

	Shape   Shape
	Results json.RawMessage // replaces what Shape sets as results
	Data    json.RawMessage // echoed as data; nil is a small request
	State   State           // "" is Complete

	APIShape  Shape      // how the API returns the address: ResultURL, ResultStorage or ResultMissing
	Expired   int        // not 0: the address in the callback answers this status, and the API returns a new one
	APIFaults []APIFault // of calls of the API about the job
}

func (o JobOptions) check() error {
	switch {
	case o.APIShape != ResultURL && o.APIShape != ResultStorage && o.APIShape != ResultMissing:
		return errors.New("the API returns one address, storage or nothing")
	case o.Expired != 0 && (o.Expired < 400 || o.Expired > 599):
		return fmt.Errorf("an expired address with status %d", o.Expired)
	}
	return errors.Join(checkFaults(o.Faults), checkAPIFaults(o.APIFaults))
}

// NewJob creates a job; while it is Complete, its images are on the host. The error says which option is invalid, or
// that the id is taken.
func (v *Vendor) NewJob(options JobOptions) (Job, error) {
	created, err := v.create(options)
	if err != nil {
		return Job{}, err
	}
	return created.Job, v.remember(created)
}

// create hosts the images of a job that the API does not know yet.
func (v *Vendor) create(options JobOptions) (*job, error) {
	if err := options.check(); err != nil {
		return nil, fmt.Errorf("fakevendortest: new job: %w", err)
	}
	options.State = orDefault(options.State, Complete)
	created := &job{options: options, plan: planAPIFaults(options.APIFaults), state: options.State}
	if options.Expired != 0 {
		created.expire(options.Expired)
	}
	var err error
	created.Job, err = v.Vendor.NewJob(fakevendor.JobOptions{
		ID: options.ID, Images: options.Images, Format: options.Format, Width: options.Width, Height: options.Height,
		Bytes: options.Bytes, Seed: options.Seed, FileName: options.FileName, Query: options.Query, NoETag: options.NoETag,
		Shape: options.Shape, Results: options.Results, Data: options.Data, Middleware: created.serveImage,
	})
	return created, err
}

// serveImage refuses an image when the state of the job demands it, and applies the faults.
func (j *job) serveImage(image int, next http.Handler) http.Handler {
	faults := selectFaults(j.options.Faults, image)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status := j.refuses(r); status != 0 {
			fakevendor.Refuse(w, status, 0)
			return
		}
		faults.next(anyFault).wrap(next).ServeHTTP(w, r)
	})
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

// answer returns the response of the API about the job.
func (j *job) answer() (status int, body any) {
	switch state := j.now(); state {
	case Forged:
		return http.StatusNotFound, message{Message: "Job not found"}
	case Failed:
		return http.StatusInternalServerError, message{Message: "Image processing failed", Status: Failed, Job: j.ID}
	case Deleted:
		return http.StatusNotFound, message{Message: "Image deleted", Status: Complete}
	case Complete:
		return http.StatusOK, result{Complete, j.ID, j.resultURL()}
	default:
		none := ""
		return http.StatusOK, result{state, j.ID, &none}
	}
}

// resultURL returns the address in the response of the API.
func (j *job) resultURL() *string {
	address := j.ResultURL
	switch j.options.APIShape {
	case ResultStorage:
		address = fakevendor.StorageURL
	case ResultMissing:
		return nil
	default:
		address = j.leased(address)
	}
	return &address
}

// leased marks an address as newer than those that have expired.
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

// refuses returns the status with which an image of the job is refused, or 0.
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

// SetState changes the state of a job.
func (v *Vendor) SetState(id string, state State) error {
	found := v.job(id)
	if found == nil {
		return fmt.Errorf("fakevendortest: there is no job %q", id)
	}
	found.become(state)
	return nil
}

// Expire makes every known address of a job's images answer with status, such as 403. The API returns new ones.
func (v *Vendor) Expire(id string, status int) error {
	found := v.job(id)
	if found == nil {
		return fmt.Errorf("fakevendortest: there is no job %q", id)
	}
	found.expire(status)
	return nil
}

// forgedOptions describe a valid picture, so that only verification rejects it.
func forgedOptions() JobOptions {
	return JobOptions{State: Forged, Width: 64, Height: 48, Seed: 1}
}

// Forge creates a job that the API does not know. Its images are hosted, so that Requests counts who fetched them.
func (v *Vendor) Forge() (Job, error) { return v.NewJob(forgedOptions()) }

// Impersonate creates the job of a forger who knows the id of a real one: its callback has another address. The API
// continues to return the real address.
func (v *Vendor) Impersonate(victim Job) (Job, error) {
	options := forgedOptions()
	options.ID = victim.ID
	options.FileName = fmt.Sprintf("forged-%d.png", v.forged.Add(1))
	created, err := v.create(options)
	if err != nil {
		return Job{}, err
	}
	return created.Job, nil
}
