// Package fakevendortest extends the fake Deep Image for tests: the API with its traps, all faults, callbacks that
// are lost, doubled or forged, and jobs that are submitted to it.
package fakevendortest

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deepimage-receiver/receiver/internal/fakevendor"
)

// unlimited is the number of slots and credits when there is no limit.
const unlimited = 1_000_000

type (
	// Job is a job of package fakevendor.
	Job = fakevendor.Job
	// Image is an image of such a job.
	Image = fakevendor.Image
	// Format is the kind of an image file.
	Format = fakevendor.Format
	// Shape is the shape of a callback.
	Shape = fakevendor.Shape
	// Answer is a receiver's answer to a callback.
	Answer = fakevendor.Answer
)

// Formats and shapes of package fakevendor.
const (
	PNG  = fakevendor.PNG
	JPEG = fakevendor.JPEG
	WebP = fakevendor.WebP

	ResultURL     = fakevendor.ResultURL
	ResultStrings = fakevendor.ResultStrings
	ResultObjects = fakevendor.ResultObjects
	ResultMap     = fakevendor.ResultMap
	ResultStorage = fakevendor.ResultStorage
	ResultMissing = fakevendor.ResultMissing
)

// Options configure a vendor; the zero value is valid.
type Options struct {
	Addr    string        // host:port to listen on; "" is a free port on 127.0.0.1
	APIKey  string        // what x-api-key must be; "" makes one, see Vendor.APIKey
	Timeout time.Duration // of one attempt to deliver a callback; 0 is 30 s

	Processing Processing // of jobs that are submitted to the API
}

// Vendor is a running fake. It is safe for concurrent use.
type Vendor struct {
	*fakevendor.Vendor

	options Options
	account account
	calls   callCounts
	faults  faultPlan[APIFault] // of the API as a whole
	forged  atomic.Int64        // numbers the files of forgers

	base       context.Context // of jobs that were submitted
	cancel     context.CancelFunc
	processing sync.WaitGroup // jobs that were submitted

	mutex  sync.RWMutex
	closed bool
	flaps  Flapping
	jobs   map[string]*job
}

// Start listens and serves until Close. The context bounds the start only.
func Start(ctx context.Context, options Options) (*Vendor, error) {
	if options.APIKey == "" {
		options.APIKey = rand.Text()
	}
	options.Processing.Slots = orDefault(options.Processing.Slots, unlimited)
	options.Processing.Credits = orDefault(options.Processing.Credits, unlimited)
	core, err := fakevendor.Start(ctx, fakevendor.Options{Addr: options.Addr, Timeout: options.Timeout})
	if err != nil {
		return nil, err
	}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	v := &Vendor{
		Vendor:  core,
		options: options,
		account: account{slots: options.Processing.Slots, credits: options.Processing.Credits},
		calls:   callCounts{calls: map[Call]int64{}},
		faults:  planAPIFaults(nil),
		base:    base,
		cancel:  cancel,
		jobs:    map[string]*job{},
	}
	v.routeAPI()
	return v, nil
}

// APIURL returns the base of the API, as https://deep-image.ai/rest_api is of the real one.
func (v *Vendor) APIURL() string { return v.URL() + "/rest_api" }

// APIKey returns what the API wants to see as x-api-key.
func (v *Vendor) APIKey() string { return v.options.APIKey }

// Close ends every request, connection and submitted job. Deliveries must have returned.
func (v *Vendor) Close() error {
	v.mutex.Lock()
	v.closed = true
	v.mutex.Unlock()
	v.cancel()
	v.processing.Wait()
	return v.Vendor.Close()
}

// begin counts one submitted job, unless the vendor is closing.
func (v *Vendor) begin() bool {
	v.mutex.RLock()
	defer v.mutex.RUnlock()
	if v.closed {
		return false
	}
	v.processing.Add(1)
	return true
}

func (v *Vendor) job(id string) *job {
	v.mutex.RLock()
	defer v.mutex.RUnlock()
	return v.jobs[id]
}

func (v *Vendor) remember(created *job) error {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if v.jobs[created.ID] != nil {
		return fmt.Errorf("fakevendortest: new job: the id %q is taken", created.ID)
	}
	v.jobs[created.ID] = created
	return nil
}

func orDefault[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}
