package deepimage

import "time"

// State is what the API says of a job.
type State string

// Every state there is. Only Pending is not final.
const (
	// Complete: the image is ready, and Verdict.ResultURL says where.
	Complete State = "complete"
	// Failed: the vendor could not make the image; Verdict.Message may say why.
	Failed State = "failed"
	// Deleted: the job was complete once, and its images are gone from the vendor.
	Deleted State = "deleted"
	// Unknown: the account of the key has no such job.
	Unknown State = "unknown"
	// Pending: the job exists and is not ready, or complete without an address; ask again. Every
	// status that was never heard of counts as this one.
	Pending State = "pending"
)

// Verdict is what the API said of a job. Whatever keeps the API from saying it is an *Error and
// never a verdict.
type Verdict struct {
	Job       string
	State     State
	ResultURL string    // of a Complete job, not empty: mostly https, but any scheme, such as storage:
	Message   string    // the vendor's reason for a Failed job, made fit to be shown; may be ""
	Status    string    // the vendor's own word for a Pending job, such as in_progress
	Asked     time.Time // when the API was asked; long ago for one that was remembered
}

// Final says that asking again brings nothing new, but for a fresh address of a Complete job.
func (v Verdict) Final() bool { return v.State != Pending }
