package handler

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/imagefile"
)

// FetchFailure classifies an error of fetch.Client.Get. limit is the variable that bounds the size. Kinds that are not
// listed are retried: networks, certificates and disks get repaired. A host that is not allowed is a fault of the setting:
// the step is deferred until the setting is right.
func FetchFailure(err error, limit string) error {
	failed, ok := errors.AsType[*fetch.Error](err)
	if !ok {
		return Retry(event.ReasonOther, err)
	}
	switch failed.Kind {
	case fetch.KindBlockedAddress:
		return Fail(event.ReasonBlockedAddress, Advise(failed, "RECEIVER_FETCH_ALLOWED_CIDRS allows private networks"))
	case fetch.KindHostNotAllowed:
		return &Error{
			Action: event.ActionDefer, Cause: event.CauseStep, Reason: event.ReasonHostNotAllowed, Host: failed.Host,
			Err: Advise(failed, "RECEIVER_FETCH_ALLOWED_HOSTS and RECEIVER_FETCH_ALLOW_HTTP set what is allowed"),
		}
	case fetch.KindInvalidURL:
		return Fail(event.ReasonOther, failed)
	case fetch.KindTooLarge:
		return Fail(event.ReasonTooLarge, Advise(failed, limit+" is the limit"))
	case fetch.KindStatus:
		return resultStatus(quoteBody(failed))
	case fetch.KindProxy:
		return Outage(event.ReasonUnreachable, Advise(failed, "RECEIVER_FETCH_PROXY_URL is the proxy"))
	case fetch.KindBusy:
		return OutageOfStep(event.ReasonTimeout, failed)
	case fetch.KindTruncated:
		return Retry(event.ReasonTruncated, failed)
	case fetch.KindTimeout:
		return Retry(event.ReasonTimeout, failed)
	case fetch.KindUnreachable:
		return Retry(event.ReasonUnreachable, failed)
	case fetch.KindEncoding:
		return Retry(event.ReasonWrongType, failed)
	case fetch.KindWrite:
		return StorageFailure(failed)
	default:
		return Retry(event.ReasonOther, failed)
	}
}

// quoteBody appends the beginning of a text that came with an error status.
func quoteBody(failed *fetch.Error) *fetch.Error {
	if len(failed.Body) == 0 || !isText(imagefile.Describe(failed.Body)) {
		return failed
	}
	quoted := *failed
	quoted.Text += ": " + excerpt(failed.Body)
	return &quoted
}

// resultStatus classifies the status of the host of a result. Object stores respond 403 for objects that have expired
// or are missing. A status that does not rule out the file is retried, even one that no host should send.
func resultStatus(failed *fetch.Error) error {
	switch failed.Status {
	case http.StatusForbidden, http.StatusNotFound, http.StatusGone:
		return Fail(event.ReasonExpired, Advise(failed, "the result has expired or was removed"))
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusMethodNotAllowed, http.StatusNotAcceptable,
		http.StatusProxyAuthRequired, http.StatusLengthRequired, http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong,
		http.StatusUnsupportedMediaType, http.StatusRequestHeaderFieldsTooLarge, http.StatusUnavailableForLegalReasons:
		return StatusFailure(failed.Status, failed.RetryAfter, failed)
	}
	err := StatusFailure(failed.Status, failed.RetryAfter, failed)
	if Classify(err).Action == event.ActionFail {
		return RetryAfter(failed.RetryAfter, event.ReasonOther, failed)
	}
	return err
}

// StatusFailure classifies an HTTP status of 400 or more. A status that may pass is retried, after at least the delay
// of the Retry-After header.
func StatusFailure(status int, retryAfter time.Duration, err error) error {
	switch {
	case status == http.StatusRequestTimeout:
		return RetryAfter(retryAfter, event.ReasonTimeout, err)
	case status == http.StatusTooEarly || status == http.StatusTooManyRequests:
		return RetryAfter(retryAfter, event.ReasonRateLimited, err)
	case status >= http.StatusInternalServerError:
		return RetryAfter(retryAfter, event.ReasonServerError, err)
	case status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusProxyAuthRequired:
		return Fail(event.ReasonAuth, err)
	case status == http.StatusRequestEntityTooLarge:
		return Fail(event.ReasonTooLarge, err)
	default:
		return Fail(event.ReasonOther, err)
	}
}

// StorageFailure classifies an error of a bucket or spool. It fails for the listed errors and for content that is too
// large; all others are outages that end when a person mends them. Nil, the end of a context and errors that are
// classified already stay as they are.
func StorageFailure(err error, permanent ...error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); ok || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if slices.ContainsFunc(permanent, func(target error) bool { return errors.Is(err, target) }) {
		return Fail(event.ReasonStorage, err)
	}
	switch {
	case errors.Is(err, blobstore.ErrTooLarge):
		return Fail(event.ReasonTooLarge, err)
	case errors.Is(err, blobstore.ErrDenied):
		return OutageOfStep(event.ReasonAuth, err)
	case isLocalOutage(err):
		return OutageOfStep(event.ReasonStorage, err)
	default:
		return Outage(event.ReasonStorage, err)
	}
}

// isLocalOutage reports whether a disk is full or broken, or a permission is missing. It can concern one folder or large
// files only.
func isLocalOutage(err error) bool {
	return slices.ContainsFunc([]error{blobstore.ErrFull, fs.ErrPermission, syscall.EROFS, syscall.EIO}, func(target error) bool {
		return errors.Is(err, target)
	})
}

// headBytes is how much of a file that is no image is read to describe it and to quote it.
const headBytes = 4 << 10

// imageFailure classifies an error of imagefile.Inspect. Text is retried, because servers send a maintenance page with
// status 200; an image as base64 and a file of any other type fail.
func imageFailure(err error, spool *blobstore.Spool) error {
	switch {
	case errors.Is(err, imagefile.ErrTruncated):
		return Retry(event.ReasonTruncated, errors.New(sentence(err)))
	case !errors.Is(err, imagefile.ErrUnknown):
		return StorageFailure(err) // the spool cannot be read
	}
	head := make([]byte, min(spool.Size(), headBytes))
	if _, err := spool.ReadAt(head, 0); err != nil {
		return StorageFailure(err)
	}
	if encoded := encodedType(head); encoded != "" {
		return Fail(event.ReasonWrongType, fmt.Errorf("the file is base64 text of %s; the host has to send the image itself", encoded))
	}
	found := imagefile.Describe(head)
	err = fmt.Errorf("the file looks like %s; it is %s", found, sentence(err))
	switch {
	case isText(found):
		return Retry(event.ReasonWrongType, fmt.Errorf("%w: %s", err, excerpt(head)))
	case !strings.Contains(found, "/"):
		return Retry(event.ReasonWrongType, err)
	default:
		return Fail(event.ReasonWrongType, err)
	}
}

// encodedType returns the media type of an image that is encoded as base64, by the first bytes of the text; "" if it is none. The text may
// be a data URL or in quotation marks, and may have line breaks and either alphabet of RFC 4648.
func encodedType(head []byte) string {
	text := strings.TrimLeft(strings.TrimPrefix(string(head), "\uFEFF"), " \t\r\n\"'")
	if start, content, found := strings.Cut(text, ","); found && strings.HasPrefix(start, "data:") {
		text = content
	}
	text = strings.NewReplacer("\r", "", "\n", "", "-", "+", "_", "/").Replace(text)
	text = strings.TrimRight(text, " \t\"'=")
	decoded, err := base64.RawStdEncoding.DecodeString(text[:len(text)/4*4])
	if err != nil {
		return ""
	}
	if mediaType := imagefile.Describe(decoded); strings.HasPrefix(mediaType, "image/") {
		return mediaType
	}
	return ""
}

// isText reports whether a media type is that of a page, of JSON or of other text.
func isText(mediaType string) bool {
	return strings.HasPrefix(mediaType, "text/") || strings.HasSuffix(mediaType, "json") || mediaType == "application/xhtml+xml"
}

// sentence returns the text of an error without the name of package imagefile.
func sentence(err error) string { return strings.TrimPrefix(err.Error(), "imagefile: ") }

// Advise appends what a person can do to the text of err. Its classification stays.
func Advise(err error, advice string) error {
	if failure, ok := errors.AsType[*Error](err); ok {
		advised := *failure
		advised.Err = Advise(failure.Err, advice)
		return &advised
	}
	return fmt.Errorf("%w (%s)", err, advice)
}
