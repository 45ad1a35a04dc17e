package deepimage

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Size returns a width or height as JSON of a request: pixels such as 2000, or percent such as 200% (documented).
func Size(text string) (jsontext.Value, error) {
	number, isPercent := strings.CutSuffix(strings.TrimSpace(text), "%")
	n, err := strconv.ParseUint(number, 10, 31)
	switch {
	case err != nil || n == 0:
		return nil, failf(KindRefused, "a size is a number of pixels or percent, such as 2000 or 200%%")
	case isPercent:
		return jsontext.Value(`"` + strconv.FormatUint(n, 10) + `%"`), nil
	default:
		return jsontext.Value(strconv.FormatUint(n, 10)), nil
	}
}

// WithWebhook returns a copy of the request with the address as webhooks.complete (documented). It changes no other
// byte. The error is of KindRefused.
func WithWebhook(request []byte, address string) ([]byte, error) {
	quoted, err := jsontext.AppendQuote([]byte(`"complete":`), address)
	if err != nil {
		return nil, failf(KindRefused, "the address of the webhook is not valid UTF-8")
	}
	if len(request) > MaxRequestBytes-len(quoted)-len(`"webhooks":{},`) {
		return nil, failf(KindRefused, "the request is longer than the 32 MiB that Deep Image accepts; replace the inline image by its URL")
	}
	webhooks, at, isEmpty, err := findWebhooks(request)
	if err != nil {
		return nil, err
	}
	if webhooks.Kind() == '{' {
		at++ // after its brace
		isEmpty = len(bytes.TrimSpace(webhooks[1:])) == 1
	} else {
		quoted = slices.Concat([]byte(`"webhooks":{`), quoted, []byte("}"))
	}
	if !isEmpty {
		quoted = append(quoted, ',')
	}
	return slices.Concat(request[:at], quoted, request[at:]), nil
}

// findWebhooks returns the value of webhooks and its offset. Without one it returns the offset after the first brace
// and whether the object is empty.
func findWebhooks(request []byte) (webhooks jsontext.Value, at int64, isEmpty bool, err error) {
	isEmpty = true
	inside, err := visitMembers(request, func(name string, value jsontext.Value, start int64) error {
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
		return nil, 0, false, failf(KindRefused, "webhooks must be an object; leave it out, the receiver sets it")
	}
	_, err = visitMembers(webhooks, func(name string, _ jsontext.Value, _ int64) error {
		if name != "complete" {
			return nil
		}
		return failf(KindRefused,
			"the request sets webhooks.complete; leave it out, the receiver sets it. To notify another system, use the handler forward")
	})
	return webhooks, at, false, err
}

// visitMembers calls visit for each member of the object that text is, and returns the offset of the first one.
func visitMembers(text []byte, visit func(name string, value jsontext.Value, start int64) error) (inside int64, err error) {
	notJSON := failf(KindRefused, "the request must be a JSON object")
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
