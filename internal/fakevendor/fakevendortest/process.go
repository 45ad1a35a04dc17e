package fakevendortest

import (
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/deepimage-receiver/receiver/internal/fakevendor"
)

const (
	// maxRequestBytes bounds a request to process an image.
	maxRequestBytes = 64 << 20
	// longestResult is how long /process_result waits for the image before it answers without; documented.
	longestResult = 25 * time.Second
)

// Processing says what becomes of jobs that are submitted to the API; the zero value makes each
// image at once, and calls back once.
type Processing struct {
	Time      time.Duration // from the submission to the end of the job
	Slots     int           // jobs under way at the same time that the plan allows; 0 is a million
	Credits   int           // jobs that the account can pay; 0 is a million
	Job       JobOptions    // what they are; ID, Data and State are made by the vendor
	End       State         // how they end; "" is Complete. Only that is called back, as nothing is known of failed ones
	Callbacks Plan          // how they are called back, if the request names a webhook
}

// serveProcess takes a request and answers its job.
func (v *Vendor) serveProcess(w http.ResponseWriter, r *http.Request) {
	if made, _ := v.submitted(w, r); made != nil {
		reply(w, http.StatusOK, message{Status: Received, Job: made.ID})
	}
}

// serveProcessResult takes a request and answers the result, or the job if that takes too long.
func (v *Vendor) serveProcessResult(w http.ResponseWriter, r *http.Request) {
	made, ended := v.submitted(w, r)
	if made == nil {
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
	status, said := made.answer()
	reply(w, status, said)
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
	number, outcome := v.account.take()
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
	made, err := v.NewJob(options)
	if err != nil {
		v.account.give()
		reply(w, http.StatusBadRequest, message{Message: err.Error()})
		return nil, nil
	}
	remembered := v.job(made.ID)
	return remembered, v.process(remembered, number, request.Webhooks.Complete)
}

// process brings a job to its end by and by, and calls back.
func (v *Vendor) process(made *job, number int, webhook string) <-chan struct{} {
	ended := make(chan struct{})
	if !v.begin() {
		close(ended)
		return ended
	}
	go func() {
		defer v.processing.Done()
		done := v.proceed(made)
		v.account.give()
		close(ended)
		if done && made.now() == Complete && webhook != "" {
			v.deliverFrom(v.base, webhook, v.options.Processing.Callbacks, number, []Job{made.Job})
		}
	}()
	return ended
}

// proceed takes the job through its states. It is false if the vendor closes before the end.
func (v *Vendor) proceed(made *job) bool {
	steps := []State{InProgress, Predicting, orDefault(v.options.Processing.End, Complete)}
	for _, state := range steps {
		if !fakevendor.Sleep(v.base, v.options.Processing.Time/time.Duration(len(steps))) {
			return false
		}
		made.become(state)
	}
	return true
}
