package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/deepimage-receiver/receiver/internal/httpclient"
)

// unreachableError says that nobody is there who could have heard a request.
type unreachableError struct{ error }

// Unwrap gives the cause.
func (e *unreachableError) Unwrap() error { return e.error }

// ask sends a request to the API and reads its answer into result. What the API says of an error is told.
func (o *office) ask(ctx context.Context, method, path string, query url.Values, result any) error {
	limited, cancel := context.WithTimeout(ctx, officeTimeout)
	defer cancel()
	address := o.base.JoinPath("/api/v1", path)
	address.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(limited, method, address.String(), nil)
	if err != nil {
		return fmt.Errorf("ask the receiver: %w", withoutURL(err))
	}
	answer, err := o.exchange(request)
	if errors.Is(err, syscall.ECONNREFUSED) && o.instead != nil {
		if o.store, err = o.instead(ctx); err != nil {
			return err
		}
		o.instead, o.base, o.client = nil, &url.URL{Scheme: "http", Host: "localhost"}, &http.Client{Transport: o.store}
		return o.ask(ctx, method, path, query, result)
	}
	if err != nil {
		return err
	}
	if answer.code >= http.StatusMultipleChoices {
		return refusal(answer)
	}
	if err := json.Unmarshal(answer.content, result); err != nil {
		return fmt.Errorf("%s gives no answer of a receiver's admin API", o.base.Host)
	}
	return nil
}

// officeAnswer is what the admin API answers.
type officeAnswer struct {
	code    int
	status  string // the code with its name
	header  http.Header
	content []byte
}

// exchange sends a request and reads the answer.
func (o *office) exchange(request *http.Request) (officeAnswer, error) {
	request.Header.Set("User-Agent", httpclient.UserAgent())
	if !o.token.IsZero() {
		request.Header.Set("Authorization", "Bearer "+o.token.Reveal())
	}
	answer, err := o.client.Do(request)
	if err != nil {
		told := fmt.Errorf("no answer from the admin listener at %s; is the receiver running? %w", o.base.Host, withoutURL(err))
		if failed, ok := errors.AsType[*net.OpError](err); ok && failed.Op == "dial" {
			told = &unreachableError{told}
		}
		return officeAnswer{}, told
	}
	defer answer.Body.Close() //nolint:errcheck // only read from
	content, err := io.ReadAll(io.LimitReader(answer.Body, maxOfficeAnswer))
	if err != nil {
		return officeAnswer{}, fmt.Errorf("the answer broke off: %w", err)
	}
	return officeAnswer{code: answer.StatusCode, status: answer.Status, header: answer.Header, content: content}, nil
}

// later is what is said of something that only a running receiver does.
func (o *office) later() string {
	if o.store == nil {
		return ""
	}
	return " as soon as a receiver runs"
}

// refusal makes an error of an answer that is a problem.
func refusal(answer officeAnswer) error {
	var told struct{ Detail string }
	_ = json.Unmarshal(answer.content, &told) // what is missing stays empty
	text := "the receiver answers " + answer.status
	if told.Detail != "" {
		text += ": " + told.Detail
	}
	switch answer.code {
	case http.StatusBadRequest:
		return wrongUsage("%s", printable(text))
	case http.StatusUnauthorized:
		return fmt.Errorf("%s Set RECEIVER_ADMIN_TOKEN", printable(text))
	default:
		return fmt.Errorf("%s", strings.TrimSpace(printable(text)))
	}
}
