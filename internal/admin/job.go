package admin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/go-chi/chi/v5"
)

// Jobs are submitted to the vendor.
type Jobs interface {
	// Submit hands a request to the vendor, and tries for as long as wait to get a free slot. Its errors have their meaning;
	// ErrNoKey and ErrNoPublicURL say what is missing.
	Submit(ctx context.Context, request []byte, wait time.Duration) (Expectation, error)
	// Possible says whether the vendor can be asked about jobs, and whether it can be given some.
	Possible() (asks, submits bool)
}

const (
	// maxSubmissions is how many requests are held in memory at the same time.
	maxSubmissions = 4
	// maxSubmissionBytes bounds one of them.
	maxSubmissionBytes = deepimage.MaxRequestBytes
	// longestSlotWait is how long one request may wait for a free slot; whoever wants to wait longer asks again.
	longestSlotWait = time.Minute
	// uploadTimeout is the time that one request has to arrive, and submissionTimeout what the vendor has beside the wait.
	uploadTimeout     = 2 * time.Minute
	submissionTimeout = 16 * time.Minute // more than RECEIVER_DEEPIMAGE_SUBMIT_TIMEOUT may be
)

// submit answers POST /api/v1/jobs with the expectation of the job.
func (a *Admin) submit(w http.ResponseWriter, r *http.Request) {
	wait, err := readWait(r.URL.Query().Get("wait"))
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	begun := time.Now()
	if !a.takePlace(w, r, wait) {
		const detail = "As many submissions are under way as one receiver takes at the same time."
		problem.Write(w, r, &problem.Error{Code: problem.CodeTooManyRequests, Detail: detail})
		return
	}
	defer func() { <-a.submissions }()
	wait = max(0, wait-time.Since(begun))
	request, err := readRequest(w, r)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	extend(http.NewResponseController(w), wait+submissionTimeout)
	submitted, err := a.deps.Jobs.Submit(r.Context(), request, wait)
	if err == nil {
		w.Header().Set("Location", "/api/v1/expectations/"+submitted.ID)
	}
	reply(w, r, http.StatusCreated, submitted, storeFailure(err))
}

// takePlace waits until one of the few submissions may begin that are held in memory.
func (a *Admin) takePlace(w http.ResponseWriter, r *http.Request, wait time.Duration) bool {
	extend(http.NewResponseController(w), wait+uploadTimeout)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case a.submissions <- struct{}{}:
		return true
	default:
	}
	select {
	case a.submissions <- struct{}{}:
		return true
	case <-timer.C:
	case <-a.ending:
	case <-r.Context().Done():
	}
	return false
}

// readWait reads how many seconds a submission may wait for a free slot.
func readWait(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 0 || seconds > int(longestSlotWait/time.Second) {
		return 0, badRequest("wait is a number of seconds, 0 to " + strconv.Itoa(int(longestSlotWait/time.Second)) + ".")
	}
	return time.Duration(seconds) * time.Second, nil
}

// readRequest reads a request to the vendor.
func readRequest(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(time.Now().Add(uploadTimeout)) // a writer without deadlines, as in tests, needs none
	_ = connection.SetWriteDeadline(time.Now().Add(uploadTimeout))
	request, err := io.ReadAll(r.Body)
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		const detail = "The request is longer than the 32 MiB that Deep Image takes. Give it a URL of the image in place of the image."
		return nil, &problem.Error{Code: problem.CodeTooLarge, Detail: detail}
	}
	if err != nil {
		return nil, &problem.Error{Code: problem.CodeIncomplete, Detail: "The request did not arrive whole.", Err: err}
	}
	return request, nil
}

// showExpectation answers GET /api/v1/expectations/{id}.
func (a *Admin) showExpectation(w http.ResponseWriter, r *http.Request) {
	id := chi.URLParam(r, "id")
	if !isID(id) {
		problem.Write(w, r, storeFailure(ErrNotFound))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	found, err := a.deps.Expected.Expectation(ctx, id)
	reply(w, r, http.StatusOK, found, storeFailure(err))
}
