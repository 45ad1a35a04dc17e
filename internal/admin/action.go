package admin

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// result is what an action did. A client of the API gets status and body; a browser is
// redirected to page, which shows the notice.
type result struct {
	status int // 200 if zero
	body   any
	page   string
	notice notice
	count  int // number in the notice
}

// actionFunc changes something and returns what the client sees.
type actionFunc = func(http.ResponseWriter, *http.Request) (result, error)

// action serves do to both clients of the API and the forms of the pages.
func (a *Admin) action(do actionFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		done, err := do(w, r)
		err = storeFailure(err)
		switch {
		case isAPI(r):
			if done.status == 0 {
				done.status = http.StatusOK
			}
			reply(w, r, done.status, done.body, err)
		case err != nil:
			a.show(w, r, "problem", view{}, err)
		default:
			values := url.Values{"did": {string(done.notice)}, "n": {strconv.Itoa(done.count)}}
			a.redirect(w, r, done.page+"?"+values.Encode())
		}
	}
}

// isAPI reports whether a request is for the JSON API and not for a page.
func isAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }

// notice names what the last action did. It is part of the address of the page that shows it.
type notice string

const (
	noticeReplayed  notice = "replayed"
	noticeReplaying notice = "replaying"
	noticeVerifying notice = "verified"
	noticeReleased  notice = "released"
	noticePurged    notice = "purged"
	noticeErased    notice = "erased"
	noticeErasing   notice = "erasing"
	noticeTracking  notice = "tracking"
	noticeSubmitted notice = "submitted"
	noticeEnabled   notice = "enabled"
	noticeDisabled  notice = "disabled"
	noticeDropped   notice = "dropped"
	noticeKept      notice = "kept"
	noticeAccepted  notice = "accepted"
	noticeDuplicate notice = "duplicate"
	noticeDeleted   notice = "deleted"
)

// noticeText is the sentence for a notice; "" for an unknown one. It consists of fixed text and a number, whatever a link contains.
func noticeText(did notice, n string) string {
	count, err := strconv.Atoi(n)
	if err != nil {
		count = 0
	}
	switch {
	case did == noticeReplayed && count == 0:
		return "Nothing to replay: the step is running or already done."
	case did == noticeReplayed:
		return plural(count, "step is", "steps are") + " replayed."
	case did == noticeReplaying:
		return plural(count, "event is", "events are") + " replayed in the background, after new events."
	case did == noticeVerifying:
		return "Deep Image is asked again about " + plural(count, "event", "events") + "."
	case did == noticeReleased:
		return plural(count, "event", "events") + " released without verification."
	case did == noticePurged:
		return "The bodies of " + plural(count, "event", "events") + " are purged."
	case did == noticeErased:
		return "The job is erased, with " + plural(count, "event", "events") + "."
	case did == noticeTracking:
		return plural(count, "job is", "jobs are") + " tracked."
	case did == noticeSubmitted:
		return "The job is submitted. Its row shows its state."
	case did == noticeDropped:
		return plural(count, "step is", "steps are") + " given up. Their events continue without it."
	case did == noticeKept:
		return plural(count, "step is", "steps are") + " kept until the handler is configured again."
	default:
		return fixedNotices()[did]
	}
}

// fixedNotices are the sentences without a number.
func fixedNotices() map[notice]string {
	return map[notice]string{
		noticeEnabled:   "The target is enabled. Deferred steps run first.",
		noticeDisabled:  "The target is disabled. Its steps are deferred until it is enabled.",
		noticeAccepted:  "The rejected callback is accepted as a new event.",
		noticeDuplicate: "The rejected callback is accepted. Its event was stored before.",
		noticeErasing:   "A part of the job is erased. The rest is erased in the background.",
		noticeDeleted:   "The rejected callback is deleted.",
	}
}
