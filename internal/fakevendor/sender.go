package fakevendor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
)

const (
	// maxAnswerBytes bounds what is read of the answer to a callback.
	maxAnswerBytes = 64 << 10
	// MaxConnections bounds the connections to one receiver.
	MaxConnections = 256
	// maxAttempts bounds how often one callback is sent.
	maxAttempts = 20
	// firstPause is the time before the second attempt; it doubles with every further one.
	firstPause = 100 * time.Millisecond
	// longestPause bounds the time between two attempts, also what a Retry-After asks for.
	longestPause = 5 * time.Second
)

// Answer is a receiver's answer to a callback.
type Answer struct {
	Status     int
	Body       []byte        // its first 64 KiB
	RetryAfter time.Duration // 0 without the header
}

// Accepted reports whether the vendor counts the callback as delivered.
func (a Answer) Accepted() bool { return a.Status >= 200 && a.Status <= 299 }

// newClient returns the sender's client. It follows no redirect and uses no proxy.
func newClient(timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			MaxConnsPerHost:     MaxConnections,
			MaxIdleConnsPerHost: MaxConnections,
			IdleConnTimeout:     time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Send posts body to webhook once and returns the answer, whatever its status. An error
// means that there was none.
func (v *Vendor) Send(ctx context.Context, webhook string, body []byte) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, webhook, bytes.NewReader(body))
	if err != nil {
		return Answer{}, fmt.Errorf("fakevendor: send: %w", withoutURL(err))
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "fake-deep-image/1")
	response, err := v.client.Do(request)
	if err != nil {
		return Answer{}, fmt.Errorf("fakevendor: send: %w", withoutURL(err))
	}
	defer func() { _ = response.Body.Close() }()
	answer := Answer{Status: response.StatusCode, RetryAfter: retryAfter(response.Header)}
	answer.Body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return answer, fmt.Errorf("fakevendor: read the answer: %w", err)
	}
	return answer, nil
}

// withoutURL removes the webhook's address from an error: its token is a secret.
func withoutURL(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}

func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(min(seconds, int(longestPause.Seconds()))) * time.Second
}

// DeliverJob sends the callback of a job until it is accepted or the attempts are used up: 1 to 20.
func (v *Vendor) DeliverJob(ctx context.Context, webhook string, attempts int, job Job) Delivery {
	attempts = min(max(attempts, 1), maxAttempts)
	body := v.Callback(job, webhook)
	d := Delivery{Job: job}
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		d.Attempts++
		d.Answer, d.Err = v.Send(ctx, webhook, body)
		if d.Err == nil && !d.Answer.Accepted() {
			d.Err = fmt.Errorf("fakevendor: the receiver answered %d", d.Answer.Status)
		}
		if d.Err == nil || d.Attempts >= attempts || background.Sleep(ctx, max(pause, d.Answer.RetryAfter)) != nil {
			return d
		}
	}
}
