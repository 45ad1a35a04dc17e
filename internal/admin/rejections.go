package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/inbox"
	"github.com/deepimage-receiver/receiver/internal/memory"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/deepimage-receiver/receiver/internal/sanitize"
	"github.com/go-chi/chi/v5"
)

// maxShownRejection bounds how much of a rejected body is shown, in bytes.
const maxShownRejection = 4 << 10

// Rejection is a rejected callback. The beginning of its body is shown only if it can be redacted, which needs JSON.
type Rejection struct {
	ID        int64               `json:"id"`
	Received  time.Time           `json:"received_at"`
	Code      event.RejectionCode `json:"code"`
	Detail    string              `json:"detail"`
	Faults    []event.Fault       `json:"faults,omitempty"`     // all errors of a body that is JSON but not an event
	Job       string              `json:"job,omitempty"`        // of the event; "" if a person must pass it to accept
	ResultURL string              `json:"result_url,omitempty"` // of the event, redacted; "" if the body has none that can be read
	Bytes     int                 `json:"bytes"`
	Body      string              `json:"body,omitempty"` // the redacted beginning
	Cut       bool                `json:"cut,omitempty"`  // the body is longer
}

// rejectionList is a page of the list; Cursor asks for the next.
type rejectionList struct {
	Rejections []Rejection `json:"rejections"`
	Cursor     string      `json:"cursor,omitempty"` // none at the end
}

// rejections reads the page of the list that a request asks for.
func (a *Admin) rejections(r *http.Request) (list rejectionList, err error) {
	limit, err := readLimit(r.URL.Query())
	if err != nil {
		return list, err
	}
	var before int64
	if text := r.URL.Query().Get("cursor"); text != "" {
		if before, err = strconv.ParseInt(text, 10, 64); err != nil || before < 1 {
			return list, invalidCursor()
		}
	}
	found, err := a.deps.Inbox.RejectionSizes(r.Context(), before, limit+1)
	if err != nil {
		return list, storeFailure(err)
	}
	if len(found) > limit {
		found = found[:limit]
		list.Cursor = strconv.FormatInt(found[limit-1].ID, 10)
	}
	list.Rejections = make([]Rejection, 0, len(found))
	for _, one := range found {
		loaded, lease, err := a.loadRejection(r.Context(), one)
		if errors.Is(err, inbox.ErrNotFound) {
			continue // deleted meanwhile
		}
		if err != nil {
			return list, storeFailure(err)
		}
		list.Rejections = append(list.Rejections, describeRejection(loaded))
		lease.Release()
	}
	return list, nil
}

// loadRejection loads a rejection when there is memory for it. The caller releases the lease.
func (a *Admin) loadRejection(ctx context.Context, size inbox.RejectionSize) (event.Rejection, *memory.Lease, error) {
	lease, err := a.deps.Memory.AcquireLoad(ctx, size.Bytes)
	if err != nil {
		return event.Rejection{}, nil, err
	}
	found, err := a.deps.Inbox.Rejection(ctx, size.ID)
	if err != nil {
		lease.Release()
		return event.Rejection{}, nil, err
	}
	return found, lease, nil
}

func describeRejection(r event.Rejection) Rejection {
	shown := Rejection{ID: r.ID, Received: r.Received, Code: r.Code, Detail: r.Detail, Bytes: len(r.Body)}
	_, err := event.Decode(r.Body)
	if invalid, ok := errors.AsType[*event.InvalidError](err); ok {
		shown.Faults = invalid.Faults
	}
	job, resultURL := r.Members()
	shown.Job, shown.ResultURL = job, event.RedactURL(resultURL)
	if redacted, err := event.Redact(r.Body); err == nil {
		shown.Body, shown.Cut = sanitize.Clip(string(redacted), maxShownRejection), len(redacted) > maxShownRejection
	}
	return shown
}

// listRejections answers GET /api/v1/rejections.
func (a *Admin) listRejections(w http.ResponseWriter, r *http.Request) {
	found, err := a.rejections(r)
	reply(w, r, http.StatusOK, found, err)
}

// rejectedPage is the body of the page with the rejected callbacks.
type rejectedPage struct {
	rejectionList
	Newer bool // this is not the first part
}

// showRejected answers GET /rejected.
func (a *Admin) showRejected(w http.ResponseWriter, r *http.Request) {
	found, err := a.rejections(r)
	body := rejectedPage{rejectionList: found, Newer: r.URL.Query().Get("cursor") != ""}
	a.show(w, r, "rejected", view{Title: "Rejected", Section: "rejected", Live: !body.Newer, Body: body}, err)
}

// showRejectionBody answers GET /api/v1/rejections/{id}/body.
func (a *Admin) showRejectionBody(w http.ResponseWriter, r *http.Request) {
	size, err := a.rejection(r)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	found, lease, err := a.loadRejection(r.Context(), size)
	if err != nil {
		problem.Write(w, r, storeFailure(err))
		return
	}
	defer lease.Release()
	writeBody(w, "rejection-"+strconv.FormatInt(found.ID, 10)+".bin", found.Body)
}

// acceptRejection answers POST rejections/{id}/accept. job and result_url replace what is in the body.
func (a *Admin) acceptRejection(_ http.ResponseWriter, r *http.Request) (result, error) {
	size, err := a.rejection(r)
	if err != nil {
		return result{}, err
	}
	id := size.ID
	members, err := readMembers(r)
	if err != nil {
		return result{}, err
	}
	lease, err := a.deps.Memory.AcquireLoad(r.Context(), 2*size.Bytes) // the event may have a longer body
	if err != nil {
		return result{}, err
	}
	defer lease.Release()
	receipt, err := a.deps.Inbox.AcceptRejection(r.Context(), id, members.Job, members.ResultURL)
	if invalid, ok := errors.AsType[*event.InvalidError](err); ok {
		err = &problem.Error{
			Code: problem.CodeInvalid, Detail: "The event would not be valid. Pass job, and result_url if the body has none.",
			Faults: invalid.Faults, Err: err,
		}
	}
	if err != nil {
		return result{}, err
	}
	did := noticeAccepted
	if receipt.Duplicate {
		did = noticeDuplicate
	}
	a.deps.Log.Info().Int64("rejection", id).Str("event", string(receipt.ID)).Bool("duplicate", receipt.Duplicate).
		Stringer("client", clientIP(r)).Msg("rejection accepted")
	body := struct {
		ID     int64    `json:"id"`
		Event  event.ID `json:"event"` // for a duplicate, of the first
		Status notice   `json:"status"`
	}{id, receipt.ID, did}
	return result{body: body, page: "/rejected", notice: did, count: 1}, nil
}

// deleteRejection answers POST rejections/{id}/delete.
func (a *Admin) deleteRejection(_ http.ResponseWriter, r *http.Request) (result, error) {
	found, err := a.rejection(r)
	if err == nil {
		err = a.deps.Inbox.DeleteRejection(r.Context(), found.ID)
	}
	if err != nil {
		return result{}, err
	}
	a.deps.Log.Info().Int64("rejection", found.ID).Int64("bytes", found.Bytes).Stringer("client", clientIP(r)).Msg("rejection deleted")
	body := struct {
		ID int64 `json:"id"`
	}{found.ID}
	return result{body: body, page: "/rejected", notice: noticeDeleted, count: 1}, nil
}

func clientIP(r *http.Request) netip.Addr { return problem.RequestInfoFrom(r.Context()).Client }

// acceptedMembers are the members that a person passes for an event.
type acceptedMembers struct {
	Job       string `json:"job"`
	ResultURL string `json:"result_url"`
}

// readMembers reads them from a request: optional JSON from a client of the API, the fields of a form from a page.
func readMembers(r *http.Request) (m acceptedMembers, err error) {
	if !isAPI(r) {
		if err := r.ParseForm(); err != nil {
			return m, unreadableForm()
		}
		return acceptedMembers{Job: r.PostForm.Get("job"), ResultURL: r.PostForm.Get("result_url")}, nil
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil && !errors.Is(err, io.EOF) {
		return m, badRequest(`The body must be empty or JSON: {"job": "...", "result_url": "..."}.`)
	}
	return m, nil
}

// rejection finds the rejection in the path of a request.
func (a *Admin) rejection(r *http.Request) (inbox.RejectionSize, error) {
	id, err := rejectionID(r)
	if err != nil {
		return inbox.RejectionSize{}, err
	}
	found, err := a.deps.Inbox.RejectionSizes(r.Context(), id+1, 1)
	if err == nil && (len(found) == 0 || found[0].ID != id) {
		err = inbox.ErrNotFound
	}
	if err != nil {
		return inbox.RejectionSize{}, storeFailure(err)
	}
	return found[0], nil
}

// rejectionID is the id of the rejection in the path of a request.
func rejectionID(r *http.Request) (int64, error) {
	id, err := strconv.ParseInt(chi.URLParam(r, "id"), 10, 64)
	if err != nil {
		return 0, &problem.Error{Code: problem.CodeNotFound, Detail: "Rejection not found.", Err: err}
	}
	return id, nil
}
