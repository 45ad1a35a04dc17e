package fakevendortest

import (
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
)

const (
	// maxRequestBytes bounds a request to process an image.
	maxRequestBytes = 64 << 20
	// longestResult is how long /process_result waits for the image before it answers without; documented.
	longestResult = 25 * time.Second
)

// Processing describes how jobs end that are submitted to the API. The zero value makes each image at once and
// calls back once.
type Processing struct {
	Time      time.Duration // from the submission to the end of the job
	Slots     int           // jobs under way at the same time that the plan allows; 0 is a million
	Credits   int           // jobs that the account can pay; 0 is a million
	Job       JobOptions    // what they are; ID, Data and State are created by the vendor
	End       State         // how they end; "" is Complete. Only that is called back, as nothing is known of failed ones
	Callbacks Plan          // how they are called back, if the request names a webhook
}

// serveProcess takes a request and answers its job.
func (v *Vendor) serveProcess(w http.ResponseWriter, r *http.Request) {
	if created, _ := v.submitted(w, r); created != nil {
		reply(w, http.StatusOK, message{Status: Received, Job: created.ID})
	}
}

// serveProcessResult takes a request and answers the result, or the job if that takes too long.
func (v *Vendor) serveProcessResult(w http.ResponseWriter, r *http.Request) {
	created, ended := v.submitted(w, r)
	if created == nil {
		return
	}
	timer := time.NewTimer(longestResult)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
	status, body := created.answer()
	reply(w, status, body)
}

// submitted makes a job of a request, or answers why not. The channel is closed when the job has ended.
func (v *Vendor) submitted(w http.ResponseWriter, r *http.Request) (*job, <-chan struct{}) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBytes))
	var request *struct { // nil is null
		Webhooks struct {
			Complete string `json:"complete"`
		} `json:"webhooks"`
	}
	if err != nil || json.Unmarshal(body, &request) != nil || request == nil {
		reply(w, http.StatusBadRequest, message{Message: "Invalid request"})
		return nil, nil
	}
	number, outcome := v.account.acquire()
	switch outcome {
	case noSlot:
		replyLimit(w)
		return nil, nil
	case noCredits: // inferred: nothing is known of the real one's words
		reply(w, http.StatusPaymentRequired, message{Message: "Not enough credits"})
		return nil, nil
	}
	options := v.options.Processing.Job
	options.ID, options.Data, options.State = "", body, NotStarted
	created, err := v.NewJob(options)
	if err != nil {
		v.account.release()
		reply(w, http.StatusBadRequest, message{Message: err.Error()})
		return nil, nil
	}
	remembered := v.job(created.ID)
	return remembered, v.process(remembered, number, request.Webhooks.Complete)
}

// process brings a job to its end by and by, and calls back.
func (v *Vendor) process(created *job, number int, webhook string) <-chan struct{} {
	ended := make(chan struct{})
	if !v.begin() {
		close(ended)
		return ended
	}
	go func() {
		defer v.processing.Done()
		done := v.proceed(created)
		v.account.release()
		close(ended)
		if done && created.now() == Complete && webhook != "" {
			v.deliverFrom(v.base, webhook, v.options.Processing.Callbacks, number, []Job{created.Job})
		}
	}()
	return ended
}

// proceed takes the job through its states. It is false if the vendor closes before the end.
func (v *Vendor) proceed(created *job) bool {
	steps := []State{InProgress, Predicting, orDefault(v.options.Processing.End, Complete)}
	for _, state := range steps {
		if background.Sleep(v.base, v.options.Processing.Time/time.Duration(len(steps))) != nil {
			return false
		}
		created.become(state)
	}
	return true
}
