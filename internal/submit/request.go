package submit

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxRequestBytes is the length of the longest request that the vendor documents.
const MaxRequestBytes = 32 << 20

// RequestError says in a sentence for a person what is wrong with a request.
type RequestError struct{ Text string }

// Error gives the sentence.
func (e *RequestError) Error() string { return e.Text }

// UnstoredError says that the vendor has taken a job, and that it could not be stored which one. Its callback will say it.
type UnstoredError struct {
	Job string
	Err error
}

// Error tells the job.
func (e *UnstoredError) Error() string {
	return "submit: job " + e.Job + " is not stored: " + e.Err.Error()
}

// Unwrap gives what the store said.
func (e *UnstoredError) Unwrap() error { return e.Err }

// withWebhook copies a request with our address as webhooks.complete, and with every other byte of it as it was.
func withWebhook(request []byte, address string) ([]byte, error) {
	quoted, err := jsontext.AppendQuote([]byte(`"complete":`), address)
	if err != nil {
		return nil, &RequestError{"The address of the webhook is not valid UTF-8."}
	}
	if len(request) > MaxRequestBytes-len(quoted)-len(`"webhooks":{},`) {
		return nil, &RequestError{"The request is longer than the 32 MiB that Deep Image takes. Give it a URL of the image in place of the image."}
	}
	webhooks, at, isEmpty, err := findWebhooks(request)
	if err != nil {
		return nil, err
	}
	if webhooks.Kind() == '{' {
		at += 1 // behind its brace
		isEmpty = len(bytes.TrimSpace(webhooks[1:])) == 1
	} else {
		quoted = slices.Concat([]byte(`"webhooks":{`), quoted, []byte("}"))
	}
	if !isEmpty {
		quoted = append(quoted, ',')
	}
	return slices.Concat(request[:at], quoted, request[at:]), nil
}

// findWebhooks gives the value of webhooks and where it begins; or no value, the place behind the first brace, and whether
// there is nothing behind it.
func findWebhooks(request []byte) (webhooks jsontext.Value, at int64, isEmpty bool, err error) {
	isEmpty = true
	inside, err := members(request, func(name string, value jsontext.Value, start int64) error {
		isEmpty = false
		if name == "webhooks" {
			webhooks, at = value.Clone(), start
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, 0, false, err
	case webhooks == nil:
		return nil, inside, isEmpty, nil
	case webhooks.Kind() != '{':
		return nil, 0, false, &RequestError{`"webhooks" must be an object. Leave it out: the receiver puts its own address there.`}
	}
	_, err = members(webhooks, func(name string, _ jsontext.Value, _ int64) error {
		if name != "complete" {
			return nil
		}
		return &RequestError{"The request names a webhook. Leave webhooks.complete out: the receiver puts its own address there, and its handler forward tells others."}
	})
	return webhooks, at, false, err
}

// members visits the members of an object that is all there is in text, and says where the first one begins.
func members(text []byte, visit func(name string, value jsontext.Value, start int64) error) (inside int64, err error) {
	notJSON := &RequestError{"The request must be a JSON object, as Deep Image takes it."}
	decoder := jsontext.NewDecoder(bytes.NewBuffer(text))
	if begin, err := decoder.ReadToken(); err != nil || begin.Kind() != '{' {
		return 0, notJSON
	}
	inside = decoder.InputOffset()
	for decoder.PeekKind() == '"' {
		name, err := decoder.ReadToken()
		if err != nil {
			return 0, notJSON
		}
		written := name.String()
		value, err := decoder.ReadValue()
		if err != nil {
			return 0, notJSON
		}
		if err := visit(written, value, decoder.InputOffset()-int64(len(value))); err != nil {
			return 0, err
		}
	}
	if _, err := decoder.ReadToken(); err != nil {
		return 0, notJSON
	}
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return 0, notJSON
	}
	return inside, nil
}
