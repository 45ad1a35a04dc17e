package handler

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/imagefile"
)

// FetchFailure gives a failed transfer of a result its meaning. limit is the variable that bounds its size. What is not
// named here may be better at the next attempt: networks are repaired, certificates renewed, disks emptied.
func FetchFailure(failed *fetch.Error, limit string) error {
	switch failed.Kind {
	case fetch.KindBlockedAddress:
		return Fail(event.ReasonBlockedAddress, Advise(failed, "RECEIVER_FETCH_ALLOWED_CIDRS allows private networks"))
	case fetch.KindHostNotAllowed:
		return Fail(event.ReasonHostNotAllowed, Advise(failed, "RECEIVER_FETCH_ALLOWED_HOSTS and RECEIVER_FETCH_ALLOW_HTTP say what is allowed"))
	case fetch.KindInvalidURL:
		return Fail(event.ReasonOther, failed)
	case fetch.KindTooLarge:
		return Fail(event.ReasonTooLarge, Advise(failed, limit+" is the limit"))
	case fetch.KindStatus:
		return resultStatus(failed)
	case fetch.KindTruncated:
		return Retry(event.ReasonTruncated, failed)
	case fetch.KindTimeout:
		return Retry(event.ReasonTimeout, failed)
	case fetch.KindUnreachable:
		return Retry(event.ReasonUnreachable, failed)
	case fetch.KindEncoding:
		return Retry(event.ReasonWrongType, failed)
	case fetch.KindWrite:
		return Retry(event.ReasonStorage, failed)
	default:
		return Retry(event.ReasonOther, failed)
	}
}

// resultStatus is for the status of a result's host. What is forbidden or gone stays so at the same address; object
// stores answer 403 for what has expired or is missing.
func resultStatus(failed *fetch.Error) error {
	switch failed.Status {
	case http.StatusForbidden, http.StatusNotFound, http.StatusGone:
		return Fail(event.ReasonExpired, Advise(failed, "the result has expired or was removed"))
	default:
		return StatusFailure(failed.Status, failed.RetryAfter, failed)
	}
}

// StatusFailure gives the status of an error its meaning: what may pass is tried again, not before the other side asks for it.
func StatusFailure(status int, after time.Duration, err error) error {
	switch {
	case status == http.StatusRequestTimeout:
		return RetryAfter(after, event.ReasonTimeout, err)
	case status == http.StatusTooEarly || status == http.StatusTooManyRequests:
		return RetryAfter(after, event.ReasonRateLimited, err)
	case status >= http.StatusInternalServerError:
		return RetryAfter(after, event.ReasonServerError, err)
	case status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusProxyAuthRequired:
		return Fail(event.ReasonAuth, err)
	case status == http.StatusRequestEntityTooLarge:
		return Fail(event.ReasonTooLarge, err)
	default:
		return Fail(event.ReasonOther, err)
	}
}

// describedBytes is how much of a file is enough to say what it looks like.
const describedBytes = 512

// ImageFailure gives a file that is no whole image its meaning: err is what package imagefile says of it. One that is known
// to be something else stays so. A page or text of any kind may stand there for a while only: that is how servers speak
// of maintenance when they forget the status.
func ImageFailure(err error, spool *blobstore.Spool) error {
	switch {
	case errors.Is(err, imagefile.ErrTruncated):
		return Retry(event.ReasonTruncated, errors.New(sentence(err)))
	case !errors.Is(err, imagefile.ErrUnknown):
		return Retry(event.ReasonStorage, err) // the spool cannot be read
	}
	head := make([]byte, min(spool.Size(), describedBytes))
	if _, err := spool.ReadAt(head, 0); err != nil {
		return Retry(event.ReasonStorage, err)
	}
	found := imagefile.Describe(head)
	err = fmt.Errorf("the file looks like %s; it is %s", found, sentence(err))
	if strings.HasPrefix(found, "text/") || found == "application/json" || !strings.Contains(found, "/") {
		return Retry(event.ReasonWrongType, err)
	}
	return Fail(event.ReasonWrongType, err)
}

// sentence is an error of package imagefile without the package's name.
func sentence(err error) string { return strings.TrimPrefix(err.Error(), "imagefile: ") }

// Advise appends what a person can do or should know.
func Advise(err error, advice string) error { return fmt.Errorf("%w (%s)", err, advice) }
