package deepimage

import "time"

// State is the state of a job.
type State string

// The states. Only Pending is not final.
const (
	// Complete: the image is ready at JobStatus.ResultURL.
	Complete State = "complete"
	// Failed: the vendor could not make the image; JobStatus.Message may say why.
	Failed State = "failed"
	// Deleted: the job was complete, and the vendor has deleted its images.
	Deleted State = "deleted"
	// Unknown: the account of the key has no such job.
	Unknown State = "unknown"
	// Pending: the job is not ready, or complete without a URL; ask again. Every status that is not documented counts as Pending.
	Pending State = "pending"
)

// JobStatus is what the API reports about a job.
type JobStatus struct {
	Job       string
	State     State
	ResultURL string    // of a Complete job, never empty; mostly https, but any scheme, such as storage:
	Message   string    // the vendor's reason for a Failed job, sanitized; may be ""
	Status    string    // the vendor's own status of a Pending job, such as in_progress, sanitized
	Asked     time.Time // when the API was asked; earlier than the call for a cached status
}

// IsFinal reports whether the state cannot change any more. A Complete job can still get a new URL.
func (s JobStatus) IsFinal() bool { return s.State != Pending }
