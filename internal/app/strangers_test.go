package app_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/deepimage-receiver/receiver/internal/event"
	fakevendor "github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
)

// trap is the page of a stranger, with a form that sends itself.
const trap = `<!doctype html><title>A stranger</title><form method="post" action="%s"><input name="finished" value="true"></form>` +
	`<script>document.forms[0].submit()</script>`

// A page of another port, of another host, and of a host whose name was made to point here post forms and send requests to the
// admin door of somebody who is logged in, or needs no token. Nothing changes.
func strangersChangeNothing(t *testing.T, c *chromium) {
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, trap, r.URL.Query().Get("to"))
	}))
	t.Cleanup(stranger.Close)
	otherPort := stranger.URL
	otherHost := strings.Replace(stranger.URL, "127.0.0.1", strangeHost, 1)
	open := sit(t, c, nil)
	locked := sit(t, c, askForToken(t))
	locked.logIn()
	dead := map[*desk]event.ID{}
	for d, last := range map[*desk]string{open: "/targets/download/disable", locked: "/logout"} {
		dead[d], _ = d.send(fakevendor.JobOptions{Faults: []fakevendor.Fault{gone()}})
		d.receiver.settled(t, dead[d])
		for _, origin := range []string{otherPort, otherHost} {
			for _, path := range []string{"/events/" + string(dead[d]) + "/replay", last} {
				d.do(chromedp.Navigate(origin + "/?to=" + url.QueryEscape(d.base+path)))
				d.await(`document.body?.textContent.includes("problem:cross_origin")`)
			}
		}
		d.unchanged(dead[d])
	}
	locked.open("/events") // the session goes on
	locked.await(`location.pathname === "/events"`)

	// A page at a rebound name has the same origin as its target, as far as the browser knows.
	rebound := strings.Replace(open.base, "127.0.0.1", reboundHost, 1)
	open.do(chromedp.Navigate(rebound + "/"))
	open.await(`document.body?.textContent.includes("problem:misdirected")`)
	for _, path := range []string{"/events/" + string(dead[open]) + "/replay", "/api/v1/replays", "/targets/download/disable"} {
		if status := open.fetch(http.MethodPost, path); status != http.StatusMisdirectedRequest {
			t.Errorf("a rebound name posts to %s and is answered %d", path, status)
		}
	}
	if status := open.fetch(http.MethodGet, "/api/v1/events"); status != http.StatusMisdirectedRequest {
		t.Errorf("a rebound name reads the events and is answered %d", status)
	}
	open.unchanged(dead[open])
}

// fetch has the page send a request, and gives the status of the answer.
func (b *browser) fetch(method, path string) (status int) {
	b.t.Helper()
	b.do(chromedp.Evaluate(fmt.Sprintf("fetch(%q, {method: %q}).then(answer => answer.status)", path, method), &status,
		func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	return status
}

// unchanged fails the test unless the event is dead after its first attempt, the only event, and its target enabled.
func (d *desk) unchanged(dead event.ID) {
	d.t.Helper()
	h, err := d.receiver.Stores().History.Load(d.t.Context(), dead)
	if err != nil || h.Event.State != event.Dead || len(h.Steps) != 1 || len(h.Steps[0].Attempts) != 1 {
		d.t.Errorf("a stranger changed the event: %+v, %v", h, err)
	}
	targets, err := d.receiver.Stores().Workflow.Targets(d.t.Context())
	if err != nil || len(targets) != 0 {
		d.t.Errorf("a stranger changed the targets: %+v, %v", targets, err)
	}
	events, err := d.receiver.Stores().History.List(d.t.Context(), "", 2)
	if err != nil || len(events) != 1 {
		d.t.Errorf("a stranger made events: %d, %v", len(events), err)
	}
}
