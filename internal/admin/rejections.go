package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/deepimage-receiver/receiver/internal/sanitize"
)

// maxShownRejection bounds how much of a rejected body is shown, in bytes.
const maxShownRejection = 4 << 10

// rejection is a rejected callback. Its body is shown only if it can be redacted, which needs JSON.
type rejection struct {
	Received time.Time           `json:"received_at"`
	Code     event.RejectionCode `json:"code"`
	Detail   string              `json:"detail"`
	Faults   []event.Fault       `json:"faults,omitempty"` // all errors of a body that is JSON but not an event
	Bytes    int                 `json:"bytes"`
	Body     string              `json:"body,omitempty"` // the redacted beginning
	Cut      bool                `json:"cut,omitempty"`  // the body is longer
}

func (a *Admin) rejections(ctx context.Context, limit int) ([]rejection, error) {
	found, err := a.deps.Inbox.Rejections(ctx, limit)
	if err != nil {
		return nil, storeFailure(err)
	}
	shown := make([]rejection, 0, len(found))
	for _, r := range found {
		one := rejection{Received: r.Received, Code: r.Code, Detail: r.Detail, Bytes: len(r.Body)}
		_, err := event.Decode(r.Body)
		if invalid, ok := errors.AsType[*event.InvalidError](err); ok {
			one.Faults = invalid.Faults
		}
		if redacted, err := event.Redact(r.Body); err == nil {
			one.Body, one.Cut = sanitize.Clip(string(redacted), maxShownRejection), len(redacted) > maxShownRejection
		}
		shown = append(shown, one)
	}
	return shown, nil
}

// listRejections answers GET /api/v1/rejections.
func (a *Admin) listRejections(w http.ResponseWriter, r *http.Request) {
	_, limit, err := readPage(r.URL.Query())
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	found, err := a.rejections(r.Context(), limit)
	reply(w, r, http.StatusOK, struct {
		Rejections []rejection `json:"rejections"`
	}{found}, err)
}

// showRejected answers GET /rejected.
func (a *Admin) showRejected(w http.ResponseWriter, r *http.Request) {
	found, err := a.rejections(r.Context(), maxLimit)
	a.show(w, r, "rejected", view{Title: "Rejected", Section: "rejected", Live: true, Body: found}, err)
}
