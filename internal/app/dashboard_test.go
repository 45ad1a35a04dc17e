package app_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	fakevendor "github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
)

// What a person does with the dashboard, in tabs of one real browser, each with a receiver of its own. Every page is
// held against axe-core, and no page may complain or ask another host for anything.
func TestDashboard(t *testing.T) {
	t.Parallel()
	c := startChromium(t)
	for _, row := range []struct {
		name string
		test func(*testing.T, *chromium)
	}{
		{"quarantined events are verified and released", quarantinedEventsAreReleased},
		{"a filtered set runs again after a question", filteredSetRunsAgain},
		{"an event arrives live and its picture loads", eventArrivesLive},
		{"a dead event runs again and becomes done", deadEventRunsAgain},
		{"a target rests, another is disabled and enabled", targetsRestAndAreEnabled},
		{"jobs are submitted and registered", jobsAreSubmittedAndRegistered},
		{"pages without events teach", emptyPagesTeach},
		{"the URL to register is shown and tried", urlIsShownAndTried},
		{"who has the token logs in and out", logInAndOut},
		{"pages of strangers change nothing", strangersChangeNothing},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.test(t, c)
		})
	}
}

// desk is somebody at the dashboard of a receiver, and the vendor that calls back.
type desk struct {
	*browser
	receiver *receiver
	vendor   *fakevendor.Vendor
	client   *http.Client
}

// sit starts a receiver with the configuration that change makes of the default one, and opens a tab.
func sit(t *testing.T, c *chromium, change func(*config.Config, *fakevendor.Vendor)) *desk {
	t.Helper()
	v, client := vendor(t), newClient(t)
	settings := configuration(t, databasetest.NewPlace(t, database.SQLite))
	if change != nil {
		change(&settings, v)
	}
	r := start(t, settings)
	return &desk{c.open(t, r), r, v, client}
}

// send has the vendor make a job and call back.
func (d *desk) send(options fakevendor.JobOptions) (event.ID, fakevendor.Job) {
	d.t.Helper()
	job := newJob(d.t, d.vendor, options)
	a := post(d.t, d.client, d.receiver.webhook(), d.vendor.Callback(job, d.receiver.webhook()))
	if a.code != http.StatusOK {
		d.t.Fatalf("answer %+v", a)
	}
	return a.ID, job
}

// gone is a fault of the image host that makes a step dead, once.
func gone() fakevendor.Fault {
	return fakevendor.Fault{Kind: fakevendor.Status, Status: http.StatusNotFound, Times: 1}
}

func emptyPagesTeach(t *testing.T, c *chromium) {
	d := sit(t, c, nil)
	for path, want := range map[string]string{
		"/": "events", "/events": "events", "/events?status=done": "filter", "/events?status=quarantined": "quarantine", "/rejected": "rejected", "/replays": "replay",
	} {
		d.open(path)
		d.await(`document.querySelector("[data-empty=` + want + `]")`)
		if path != "/" && path != "/events?status=quarantined" && path != "/rejected" {
			continue // they look as others do
		}
		d.look("empty-" + strings.Trim(strings.NewReplacer("/", "", "?", "-", "=", "-").Replace(path), "-"))
	}
	d.quiet()
	for _, path := range []string{"/events/00000000-0000-7000-8000-000000000000", "/nothing"} {
		d.open(path)
		d.await(`document.querySelector("[data-problem$=':not_found']")`)
	}
	d.look("problem")
	d.complaints() // of the status 404
}

// It shows up by itself in the open list, and is found there by a filter.
func eventArrivesLive(t *testing.T, c *chromium) {
	d := sit(t, c, nil)
	d.open("/events")
	d.await(`document.querySelector("[data-live].up")`)
	first, job := d.send(fakevendor.JobOptions{Format: fakevendor.PNG, Width: 1200, Height: 900})
	d.await(`document.querySelector("tbody a[href='/events/` + string(first) + `']")`)
	d.await(`document.querySelector(".badge.done") && document.querySelector(".thumb img")?.naturalWidth > 0`)
	d.open("/")
	d.look("overview-one")

	// Whoever reads a question is not interrupted, and sees what has happened meanwhile when it is closed.
	d.click(".circuit .ask > summary")
	second, _ := d.send(fakevendor.JobOptions{Format: fakevendor.PNG, Width: 80, Height: 60})
	d.receiver.settled(t, second)
	d.await(`document.querySelector(".circuit .ask[open]")`)
	d.click(".circuit .ask > summary")
	d.await(`document.querySelector(".tile.done strong").textContent === "2"`)
	d.open("/events")
	d.do(chromedp.SetValue("input[name=q]", job.ID[:13], chromedp.ByQuery), chromedp.SetValue("select[name=status]", "done", chromedp.ByQuery))
	d.do(chromedp.Submit("input[name=q]", chromedp.ByQuery))
	d.await(`location.search.includes("status=done") && document.querySelectorAll("tbody tr").length === 1`)
	d.click("tbody .job a")
	d.await(`document.querySelector(".pictures img")?.naturalWidth === 320`)
	d.look("event-done")
	d.click("button.view")
	d.await(`document.querySelector(".zoom:popover-open img")?.naturalWidth === 1200`)
	d.look("zoom")
	d.quiet()

	// All of it can be read without JavaScript.
	d.do(emulation.SetScriptExecutionDisabled(true))
	for path, want := range map[string]string{"/": job.ID, "/events": job.ID, "/events/" + string(first): "1200 × 900", "/setup": "RECEIVER_DATA_DIR"} {
		d.open(path)
		if !strings.Contains(d.html(), want) {
			t.Errorf("without JavaScript %s does not say %q", path, want)
		}
	}
	d.quiet()
	d.do(emulation.SetScriptExecutionDisabled(false))

	// When its file is gone the place of the thumbnail is empty.
	gone, err := filepath.Glob(filepath.Join(d.receiver.folder, "images", "2*"))
	if err != nil || len(gone) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, folder := range append(gone, filepath.Join(d.receiver.folder, "thumbnails")) {
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
	}
	d.do(network.SetCacheDisabled(true))
	d.open("/events")
	d.await(`document.querySelector(".thumb .none") && !document.querySelector(".thumb img")`)
	d.open("/events/" + string(first))
	d.await(`document.querySelector(".view .toolarge")?.textContent === "No preview of 1.1 MP" && !document.querySelector(".view img")`)
	d.complaints() // of the status 404
}

func deadEventRunsAgain(t *testing.T, c *chromium) {
	d := sit(t, c, nil)
	dead, _ := d.send(fakevendor.JobOptions{
		Format: fakevendor.JPEG, Width: 640, Height: 480, Images: 2, Shape: fakevendor.ResultObjects, Faults: []fakevendor.Fault{gone()},
	})
	d.receiver.settled(t, dead)
	d.open("/events?status=dead")
	d.click("tbody .job a")
	d.await(`document.querySelector(".steps .badge.dead")`)
	d.look("event-dead")
	d.click("details.ask > summary")
	d.click("details.ask form button")
	d.await(`document.querySelector(".notice")`)
	d.await(`document.querySelector(".steps .badge.done") && document.querySelectorAll(".pictures .view img").length === 2`)
	d.quiet()
}

func filteredSetRunsAgain(t *testing.T, c *chromium) {
	d := sit(t, c, nil)
	for range 3 {
		id, _ := d.send(fakevendor.JobOptions{Format: fakevendor.WebP, Width: 300, Height: 500, Faults: []fakevendor.Fault{gone()}})
		d.receiver.settled(t, id)
	}
	other, _ := d.send(fakevendor.JobOptions{Format: fakevendor.PNG, Width: 512, Height: 512, Faults: []fakevendor.Fault{{Kind: fakevendor.Page}}})
	d.receiver.settled(t, other)
	post(t, d.client, d.receiver.webhook(), []byte(`{"jub":"a","token":"hunter2"}`))
	post(t, d.client, d.receiver.webhook(), []byte(`{"job":"a"`))
	d.open("/")
	d.await(`document.querySelector(".tile.dead strong").textContent === "4"`)
	d.look("overview")
	d.open("/events?status=dead&reason=expired")
	d.look("events")
	d.click(".pager .end")
	d.await(`document.querySelector("main button")?.dataset.count === "3"`)
	d.look("replay")
	d.click("main form button")
	d.await(`document.querySelector(".tile.dead strong")?.textContent === "1"`)
	d.open("/rejected")
	d.await(`document.querySelector("article[data-code=malformed]") && document.querySelector("article[data-code=invalid]")`)
	if text := d.text("#content"); strings.Contains(text, "hunter2") {
		t.Errorf("rejected bodies = %q, want no secret", text)
	}
	d.look("rejected")
	d.quiet()
}

// Forged callbacks wait; a person asks the vendor again, lets one go on from its page, and then all.
func quarantinedEventsAreReleased(t *testing.T, c *chromium) {
	d := sit(t, c, trust)
	var ids []event.ID
	var jobs []fakevendor.Job
	for range 4 {
		id, job := d.send(fakevendor.JobOptions{State: fakevendor.Forged, Width: 200, Height: 150})
		d.receiver.reaches(t, id, event.Quarantined)
		ids, jobs = append(ids, id), append(jobs, job)
	}
	if err := d.vendor.SetState(jobs[0].ID, fakevendor.Complete); err != nil {
		t.Fatal(err)
	}
	d.open("/events?status=quarantined")
	d.look("quarantine")
	d.click("tbody a[href='/events/" + string(ids[0]) + "']")
	d.await(`document.querySelector("h1 + .badge.quarantined")`)
	d.look("event-quarantined")
	d.click("form[action$='/verify'] button")
	d.await(`document.querySelector("h1 + .badge.done") && document.querySelector(".pictures img")?.naturalWidth > 0`)
	d.await(`document.querySelector(".meta [data-verified]")`)

	d.open("/events/" + string(ids[1]))
	d.click("details.ask > summary")
	d.look("release")
	d.click("form[action$='/release'] button")
	d.await(`document.querySelector(".notice[data-notice=released]")`)
	d.await(`document.querySelector("h1 + .badge.done")`)

	d.open("/events?status=quarantined")
	d.click("details.ask > summary")
	d.await(`document.querySelector("form[action='/quarantine/release'] button").dataset.count === "2"`)
	d.click("form[action='/quarantine/release'] button")
	d.await(`document.querySelector(".tile.done strong")?.textContent === "4"`)
	for _, id := range ids {
		d.receiver.reaches(t, id, event.Done)
	}
	d.quiet()
}

// The token is shown to who asks for it, and to nobody else; a sample goes through the public door.
func urlIsShownAndTried(t *testing.T, c *chromium) {
	d := sit(t, c, nil)
	d.open("/setup")
	if strings.Contains(d.html(), token) {
		t.Error("the page holds the token before it was asked for")
	}
	d.click("form[action='/setup'] button")
	d.await(`document.querySelector("#webhook")?.value.endsWith("` + token + `")`)
	d.click("[data-copy]")
	d.await(`document.querySelector("[data-copy]").textContent === "Copied"`)
	d.do(chromedp.Evaluate(`document.querySelectorAll("details.defaults").forEach(group => group.open = true)`, nil))
	d.look("setup")
	d.click("form[action='/setup/test-event'] button")
	d.await(`document.querySelector(".steps")?.textContent.includes("host not allowed")`)
	d.quiet()
}

// adminToken is asked for at some admin doors.
const adminToken = "admin-token-0123456789"

func askForToken(t *testing.T) func(*config.Config, *fakevendor.Vendor) {
	return func(c *config.Config, _ *fakevendor.Vendor) {
		if err := c.Admin.Token.Decode(adminToken); err != nil {
			t.Fatal(err)
		}
	}
}

// logIn leaves the tab at the list of events.
func (d *desk) logIn() {
	d.t.Helper()
	d.open("/login?next=/events")
	d.do(chromedp.SendKeys("input[name=token]", adminToken, chromedp.ByQuery), chromedp.Submit("input[name=token]", chromedp.ByQuery))
	d.await(`location.pathname === "/events" && document.querySelector("[data-live].up")`)
}

// session is the cookie of the tab.
func (d *desk) session() *http.Cookie {
	d.t.Helper()
	var found []*network.Cookie
	d.do(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		found, err = network.GetCookies().Do(ctx)
		return err
	}))
	if len(found) != 1 || !found[0].HTTPOnly || found[0].SameSite != network.CookieSameSiteStrict {
		d.t.Fatalf("cookies %+v", found)
	}
	return &http.Cookie{Name: found[0].Name, Value: found[0].Value}
}

// copied says how somebody is answered who has copied a cookie.
func (d *desk) copied(cookie *http.Cookie) int {
	d.t.Helper()
	request, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, d.base+"/api/v1/events", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	request.AddCookie(cookie)
	answer, err := d.client.Do(request)
	if err != nil {
		d.t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

// Who has not the token sees nothing, and who has logged out neither, also with a copy of the cookie.
func logInAndOut(t *testing.T, c *chromium) {
	d := sit(t, c, askForToken(t))
	d.open("/events")
	d.await(`location.pathname === "/login"`)
	d.look("login")
	d.do(chromedp.SendKeys("input[name=token]", "admin-token-wrong-one", chromedp.ByQuery), chromedp.Submit("input[name=token]", chromedp.ByQuery))
	d.await(`document.querySelector("[data-problem$=':unauthorized']")`)
	d.complaints() // of the status 401
	d.logIn()
	d.quiet()
	cookie := d.session()
	if status := d.copied(cookie); status != http.StatusOK {
		t.Errorf("the session is answered %d", status)
	}
	d.click("form[action='/logout'] button")
	d.await(`location.pathname === "/login"`)
	if status := d.copied(cookie); status != http.StatusUnauthorized {
		t.Errorf("the session that was ended is answered %d", status)
	}
	d.complaints() // of what was under way when the session ended
	d.open("/setup")
	d.await(`location.pathname === "/login"`)
	d.quiet()
}
