package blobstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/deepimage-receiver/receiver/internal/background"
	"github.com/deepimage-receiver/receiver/internal/httpclient"
)

const (
	firstRetry    = 200 * time.Millisecond // it doubles
	maxErrorBytes = 64 << 10               // of the body of an error
)

// gcsError is an answer that is none.
type gcsError struct {
	service string
	status  int
	message string
}

// Error returns the sentence.
func (e *gcsError) Error() string {
	return fmt.Sprintf("%s answered %d %s: %s", e.service, e.status, http.StatusText(e.status), e.message)
}

// Is makes a refusal an ErrDenied.
func (e *gcsError) Is(target error) bool { return target == ErrDenied && isDenied(e.status) }

// mayPass says that the same request may succeed a little later.
func (e *gcsError) mayPass() bool {
	return e.status == http.StatusRequestTimeout || e.status == http.StatusTooManyRequests || e.status >= http.StatusInternalServerError &&
		e.status != http.StatusNotImplemented && e.status != http.StatusInsufficientStorage
}

// send sends a request, again if that may help, and returns the response. All
// requests can be repeated: the one that stores has its condition.
func (s *gcsService) send(ctx context.Context, build func(context.Context) (*http.Request, error)) (*http.Response, error) {
	for try := 1; ; try++ {
		request, err := build(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s has no address that can be asked", s.name)
		}
		answer, err := s.sendOnce(request)
		if err == nil || !worthRetrying(err) || try >= s.limits.retries || ctx.Err() != nil {
			return answer, s.explain(ctx, err)
		}
		if err := background.Sleep(ctx, background.Backoff(firstRetry, maxRetryDelay, try-1)); err != nil {
			return nil, err
		}
	}
}

func worthRetrying(err error) bool {
	if refused, ok := errors.AsType[*gcsError](err); ok {
		return refused.mayPass()
	}
	_, unknown := errors.AsType[*identityError](err)
	_, source := errors.AsType[*sourceError](err)
	return !unknown && !source
}

func (s *gcsService) sendOnce(request *http.Request) (*http.Response, error) {
	if s.identity != nil {
		if err := s.identity.authorize(request); err != nil {
			return nil, err
		}
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode == http.StatusOK || answer.StatusCode == http.StatusNoContent {
		return answer, nil
	}
	defer func() { _ = answer.Body.Close() }()
	return nil, &gcsError{service: s.name, status: answer.StatusCode, message: messageOf(answer.Body)}
}

// messageOf finds the sentence in an error's body.
func messageOf(body io.Reader) string {
	text, _, err := httpclient.ReadAtMost(body, maxErrorBytes)
	if err != nil {
		return "the answer broke off"
	}
	var answer struct {
		Error struct{ Message string }
	}
	if err := json.Unmarshal(text, &answer); err == nil && answer.Error.Message != "" {
		return quoted(answer.Error.Message)
	}
	return quoted(string(text))
}

// explain classifies an error.
func (s *gcsService) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, refused := errors.AsType[*gcsError](err); refused {
		return err
	}
	if identity, ok := errors.AsType[*identityError](err); ok {
		return identity
	}
	return unreached(s.name, err)
}
