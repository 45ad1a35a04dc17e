package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/deepimage-receiver/receiver/internal/memory"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/deepimage-receiver/receiver/internal/submit"
)

const (
	// maxSubmissions is how many requests are held in memory at the same time.
	maxSubmissions = 4
	// maxSubmissionBytes bounds one of them.
	maxSubmissionBytes = deepimage.MaxRequestBytes
	// maxSlotWait is how long one request may wait for a free slot; to wait longer, a client asks again.
	maxSlotWait = time.Minute
	// uploadTimeout bounds the upload of a request, submissionTimeout the call of the vendor without the wait.
	uploadTimeout     = 2 * time.Minute
	submissionTimeout = 16 * time.Minute // more than RECEIVER_DEEPIMAGE_SUBMIT_TIMEOUT may be
)

// submitJob answers POST jobs: a request to Deep Image from a client of the API, or a form with the URL of the image and the size of the result.
func (a *Admin) submitJob(w http.ResponseWriter, r *http.Request) (result, error) {
	wait, err := readWait(r.URL.Query().Get("wait"))
	if err != nil {
		return result{}, err
	}
	names, err := readNames(r.URL.Query())
	if err != nil {
		return result{}, err
	}
	begun := time.Now()
	if !a.acquireSubmission(w, r, wait) {
		return result{}, &problem.Error{Code: problem.CodeTooManyRequests, Detail: "Too many submissions are running. Try again later."}
	}
	defer func() { <-a.submissions }()
	lease, err := a.acquireRequest(r)
	if err != nil {
		return result{}, storeFailure(err)
	}
	defer lease.Release()
	wait = max(0, wait-time.Since(begun))
	request, err := readRequest(w, r)
	if err != nil {
		return result{}, err
	}
	if !isAPI(r) {
		if names, err = readNames(r.PostForm); err != nil {
			return result{}, err
		}
	}
	extendDeadline(http.NewResponseController(w), wait+submissionTimeout)
	submitted, err := a.submit(r.Context(), request, names, wait)
	if err == nil && isAPI(r) {
		w.Header().Set("Location", a.config.basePath()+"/api/v1/jobs/"+submitted.ID)
	}
	return result{status: http.StatusCreated, body: submitted, page: "/jobs", notice: noticeSubmitted, count: 1}, err
}

// acquireSubmission waits for one of the few submissions that are held in memory.
func (a *Admin) acquireSubmission(w http.ResponseWriter, r *http.Request, wait time.Duration) bool {
	extendDeadline(http.NewResponseController(w), wait+uploadTimeout)
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

// acquireRequest waits for the memory of a request and of its copy with the URL of the callback.
func (a *Admin) acquireRequest(r *http.Request) (*memory.Lease, error) {
	length := r.ContentLength
	if length < 0 {
		length = maxSubmissionBytes
	}
	if length <= memory.SmallBytes {
		return nil, nil //nolint:nilnil // a nil lease has no memory
	}
	ctx, cancel := context.WithTimeout(r.Context(), maxSlotWait)
	defer cancel()
	return a.deps.Memory.Acquire(ctx, netip.Prefix{}, 2*length)
}

// readWait reads for how many seconds a submission may wait for a free slot.
func readWait(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 0 || seconds > int(maxSlotWait/time.Second) {
		return 0, badRequest("The parameter wait must be a number of seconds from 0 to " + strconv.Itoa(int(maxSlotWait/time.Second)) + ".")
	}
	return time.Duration(seconds) * time.Second, nil
}

// readNames reads the names of the event that a submission asks for. The input counts for an image in the request only.
func readNames(values url.Values) (names event.Names, err error) {
	names.Reference = strings.TrimSpace(values.Get(event.ReferenceParameter))
	names.Input = event.FileName(values.Get(event.InputParameter))
	if names.Reference != event.CleanName(names.Reference) {
		return names, badRequest("A reference must be one line of text in UTF-8, of at most " + strconv.Itoa(event.MaxNameBytes) + " bytes.")
	}
	return names, nil
}

// readRequest reads a request to the vendor.
func readRequest(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if !isAPI(r) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			return nil, unreadableForm()
		}
		return formRequest(r.PostForm)
	}
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(time.Now().Add(uploadTimeout)) // a writer without deadlines, as in tests, needs none
	_ = connection.SetWriteDeadline(time.Now().Add(uploadTimeout))
	request, err := readAll(r)
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		const detail = "The request is longer than the 32 MiB that Deep Image accepts. Send a URL of the image instead of the image."
		return nil, &problem.Error{Code: problem.CodeTooLarge, Detail: detail}
	}
	if err != nil {
		return nil, &problem.Error{Code: problem.CodeIncomplete, Detail: "The request did not arrive completely.", Err: err}
	}
	return request, nil
}

// readAll reads a body. Its memory has the declared length from the beginning.
func readAll(r *http.Request) ([]byte, error) {
	var read bytes.Buffer
	if 0 < r.ContentLength && r.ContentLength <= maxSubmissionBytes {
		read.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	_, err := read.ReadFrom(r.Body)
	return read.Bytes(), err
}

// formRequest makes the request to Deep Image from the fields of a form.
func formRequest(form url.Values) ([]byte, error) {
	address, err := url.Parse(strings.TrimSpace(form.Get("url")))
	if err != nil || address.Host == "" || address.Scheme != "https" && address.Scheme != "http" {
		return nil, badRequest("The URL of the image must be complete, such as https://example.com/photo.jpg.")
	}
	request := map[string]any{"url": address.String()}
	for _, name := range []string{"width", "height"} {
		text := strings.TrimSpace(form.Get(name))
		if text == "" {
			continue
		}
		if request[name], err = deepimage.Size(text); err != nil {
			return nil, badRequest("The " + name + " must be a number of pixels or a percentage, such as 2000 or 200%.")
		}
	}
	return json.Marshal(request)
}

// submit sends a request to the vendor, and waits at most that long for a free slot.
func (a *Admin) submit(ctx context.Context, request []byte, names event.Names, wait time.Duration) (jobs.Job, error) {
	if a.deps.Reconciler == nil {
		return jobs.Job{}, keyMissing()
	}
	if a.deps.Submitter == nil {
		return jobs.Job{}, &problem.Error{Code: problem.CodeConflict, Detail: "No receiver is running that could accept the callback. Start it first."}
	}
	if a.deps.Setup.PublicURL == "" {
		const detail = "Submitting jobs needs the public URL of the receiver. Set RECEIVER_PUBLIC_URL and restart."
		return jobs.Job{}, &problem.Error{Code: problem.CodeConflict, Detail: detail}
	}
	if limit := a.deps.Setup.MaxSubmission; len(request) > limit {
		return jobs.Job{}, &problem.Error{Code: problem.CodeTooLarge, Detail: fmt.Sprintf("A request may have at most %d bytes, because its callback echoes "+
			"it within RECEIVER_WEBHOOK_MAX_BODY_BYTES. Send a URL of the image instead of the image.", limit)}
	}
	submitted, err := a.deps.Submitter.Submit(ctx, request, names, wait)
	if err != nil {
		return jobs.Job{}, submissionFailure(submitted, err)
	}
	return submitted, nil
}

func keyMissing() error {
	return &problem.Error{Code: problem.CodeConflict, Detail: "Jobs need a key of the Deep Image API. Set RECEIVER_DEEPIMAGE_API_KEY and restart."}
}

// submissionFailure turns the failure of a submission into a problem.
func submissionFailure(tracked jobs.Job, err error) error {
	if unstored, ok := errors.AsType[*submit.UnstoredError](err); ok {
		return &problem.Error{
			Code: problem.CodeUnknownOutcome, Err: err,
			Detail: "Deep Image accepted the job " + unstored.Job + ", but it could not be stored. Do not submit it again: its callback is accepted.",
		}
	}
	failed, ok := errors.AsType[*deepimage.Error](err)
	if !ok {
		return problem.Unavailable("The submission could not be stored and was not sent.", err)
	}
	found := &problem.Error{Code: problem.CodeVendor, Detail: sentence(failed.Text), RetryAfter: failed.After, Err: err}
	switch failed.Kind {
	case deepimage.KindSlots:
		found.Code = problem.CodeSlots
	case deepimage.KindCredits:
		found.Code = problem.CodeCredits
	case deepimage.KindRefused:
		found.Code = problem.CodeRefused
	case deepimage.KindUnavailable, deepimage.KindLimited, deepimage.KindCancelled:
		found.Code = problem.CodeUnavailable
	case deepimage.KindKey:
		found.Code = problem.CodeAuth
		found.Detail += " See RECEIVER_DEEPIMAGE_API_KEY."
	case deepimage.KindOutcome:
		found.Code = problem.CodeUnknownOutcome
		found.Detail += " The request is not sent again. If its callback arrives, it is accepted: see job " + tracked.ID + "."
	}
	return found
}
