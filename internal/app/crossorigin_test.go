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
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
)

// attackPage is a page of another site with a form that submits itself.
const attackPage = `<!doctype html><title>Another site</title><form method="post" action="%s"><input name="finished" value="true"></form>` +
	`<script>document.forms[0].submit()</script>`

// Pages of another port, of another host and of a rebound host name send forms and requests to the admin listener, with a
// session and without tokens. Nothing changes.
func testCrossOriginPages(t *testing.T, c *chromium) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, attackPage, r.URL.Query().Get("to"))
	}))
	t.Cleanup(site.Close)
	otherPort := site.URL
	otherHost := strings.Replace(site.URL, "127.0.0.1", otherSite, 1)
	open := openDashboard(t, c, nil)
	locked := openDashboard(t, c, requireToken(t))
	locked.logIn()
	dead := map[*dashboard]event.ID{}
	for d, last := range map[*dashboard]string{open: "/targets/download/disable", locked: "/logout"} {
		dead[d], _ = d.send(fakevendortest.JobOptions{Faults: []fakevendortest.Fault{gone()}})
		d.receiver.await(t, dead[d])
		for _, origin := range []string{otherPort, otherHost} {
			for _, path := range []string{"/events/" + string(dead[d]) + "/replay", last} {
				d.do(chromedp.Navigate(origin + "/?to=" + url.QueryEscape(d.base+path)))
				d.await(`document.body?.textContent.includes("problem:cross_origin")`)
			}
		}
		d.unchanged(dead[d])
	}
	locked.open("/events") // the session is still valid
	locked.await(`location.pathname === "/events"`)

	// For the browser, a page at a rebound name has the same origin as its target.
	rebound := strings.Replace(open.base, "127.0.0.1", reboundHost, 1)
	open.do(chromedp.Navigate(rebound + "/"))
	open.await(`document.body?.textContent.includes("problem:misdirected")`)
	for _, path := range []string{"/events/" + string(dead[open]) + "/replay", "/api/v1/replays", "/targets/download/disable"} {
		if status := open.fetch(http.MethodPost, path); status != http.StatusMisdirectedRequest {
			t.Errorf("POST %s from a rebound name: status = %d, want 421", path, status)
		}
	}
	if status := open.fetch(http.MethodGet, "/api/v1/events"); status != http.StatusMisdirectedRequest {
		t.Errorf("GET of the events from a rebound name: status = %d, want 421", status)
	}
	open.unchanged(dead[open])
}

// fetch sends a request from the page and returns the status of the response.
func (b *browser) fetch(method, path string) (status int) {
	b.t.Helper()
	b.do(chromedp.Evaluate(fmt.Sprintf("fetch(%q, {method: %q}).then(response => response.status)", path, method), &status,
		func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	return status
}

// unchanged checks that the event is the only one and dead after one attempt, and that no target is disabled.
func (d *dashboard) unchanged(dead event.ID) {
	d.t.Helper()
	h, err := d.receiver.Stores().History.Load(d.t.Context(), dead)
	if err != nil || h.Event.State != event.Dead || len(h.Steps) != 1 || len(h.Steps[0].Attempts) != 1 {
		d.t.Errorf("event = %+v, error %v; want dead after 1 attempt of 1 step", h, err)
	}
	targets, err := d.receiver.Stores().Workflow.Targets(d.t.Context())
	if err != nil || len(targets) != 0 {
		d.t.Errorf("targets = %+v, error %v; want none disabled", targets, err)
	}
	events, err := d.receiver.Stores().History.List(d.t.Context(), "", 2)
	if err != nil || len(events) != 1 {
		d.t.Errorf("%d events, error %v; want 1", len(events), err)
	}
}
