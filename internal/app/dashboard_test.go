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
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/testkit/storetest"
)

// The dashboard in a real browser, each story with its own tab and receiver. Every page is checked with axe-core. No page may
// have errors or send requests to another host.
func TestDashboard(t *testing.T) {
	t.Parallel()
	c := startChromium(t)
	for _, row := range []struct {
		name string
		test func(*testing.T, *chromium)
	}{
		{name: "quarantined events are verified and released", test: testQuarantinePages},
		{name: "filtered events are replayed", test: testBulkReplayPages},
		{name: "an event appears live and its image loads", test: testLivePages},
		{name: "E9 hidden tabs close their stream", test: testHiddenTabs},
		{name: "a dead event is replayed", test: testReplayPage},
		{name: "a target is down, another is disabled and enabled", test: testTargetsOnOverview},
		{name: "E4 steps wait for handlers that are not configured", test: testUnattendedSteps},
		{name: "A2 the body as received is downloaded", test: testOriginalPage},
		{name: "jobs are submitted and tracked", test: testJobsPage},
		{name: "empty pages", test: testEmptyPages},
		{name: "the URL is revealed and a test event is sent", test: testSetupPage},
		{name: "login and logout", test: testLogin},
		{name: "pages of other sites change nothing", test: testCrossOriginPages},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.test(t, c)
		})
	}
}

// dashboard is a tab with the dashboard of a receiver, and its vendor.
type dashboard struct {
	*browser
	receiver *receiver
	vendor   *fakevendortest.Vendor
	client   *http.Client
}

// openDashboard starts a receiver, whose configuration change may change, and opens a tab.
func openDashboard(t *testing.T, c *chromium, change func(*config.Config, *fakevendortest.Vendor)) *dashboard {
	t.Helper()
	v, client := vendor(t), newClient(t)
	settings := configuration(t, storetest.NewPlace(t, database.SQLite))
	if change != nil {
		change(&settings, v)
	}
	r := start(t, settings)
	return &dashboard{c.open(t, r), r, v, client}
}

// send creates a job at the vendor and delivers its callback.
func (d *dashboard) send(options fakevendortest.JobOptions) (event.ID, fakevendortest.Job) {
	d.t.Helper()
	job := newJob(d.t, d.vendor, options)
	a := post(d.t, d.client, d.receiver.webhook(), d.vendor.Callback(job, d.receiver.webhook()))
	if a.code != http.StatusOK {
		d.t.Fatalf("status = %d, want 200", a.code)
	}
	return a.ID, job
}

// gone is a fault of the image host that makes one attempt fail for good.
func gone() fakevendortest.Fault {
	return fakevendortest.Fault{Kind: fakevendortest.Status, Status: http.StatusUnauthorized, Times: 1}
}

func testEmptyPages(t *testing.T, c *chromium) {
	d := openDashboard(t, c, nil)
	for path, want := range map[string]string{
		"/": "events", "/events": "events", "/events?status=done": "filter", "/events?status=quarantined": "quarantine", "/rejected": "rejected", "/replays": "replay",
	} {
		d.open(path)
		d.await(`document.querySelector("[data-empty=` + want + `]")`)
		if path != "/" && path != "/events?status=quarantined" && path != "/rejected" {
			continue // they look like others
		}
		d.check("empty-" + strings.Trim(strings.NewReplacer("/", "", "?", "-", "=", "-").Replace(path), "-"))
	}
	d.wantNoFaults()
	for _, path := range []string{"/events/00000000-0000-7000-8000-000000000000", "/nothing"} {
		d.open(path)
		d.await(`document.querySelector("[data-problem$=':not_found']")`)
	}
	d.check("problem")
	d.takeFaults() // status 404
}

// An event appears in the open list without a reload, and a filter finds it.
func testLivePages(t *testing.T, c *chromium) {
	d := openDashboard(t, c, nil)
	d.open("/events")
	d.await(`document.querySelector("[data-live].up")`)
	first, job := d.send(fakevendortest.JobOptions{Format: fakevendortest.PNG, Width: 1200, Height: 900})
	d.await(`document.querySelector("tbody a[href='/events/` + string(first) + `']")`)
	d.await(`document.querySelector(".badge.done") && document.querySelector(".thumb img")?.naturalWidth > 0`)
	d.open("/")
	d.check("overview-one")

	// A page is not replaced while a question is open, and is updated after it is closed.
	d.click(".circuit .ask > summary")
	second, _ := d.send(fakevendortest.JobOptions{Format: fakevendortest.PNG, Width: 80, Height: 60})
	d.receiver.await(t, second)
	d.await(`document.querySelector(".circuit .ask[open]")`)
	d.click(".circuit .ask > summary")
	d.await(`document.querySelector(".tile.done strong").textContent === "2"`)
	d.open("/events")
	d.do(chromedp.SetValue("input[name=q]", job.ID[:13], chromedp.ByQuery), chromedp.SetValue("select[name=status]", "done", chromedp.ByQuery))
	d.do(chromedp.Submit("input[name=q]", chromedp.ByQuery))
	d.await(`location.search.includes("status=done") && document.querySelectorAll("tbody tr").length === 1`)
	d.click("tbody .job a")
	d.await(`document.querySelector(".pictures img")?.naturalWidth === 320`)
	d.check("event-done")
	d.click("button.view")
	d.await(`document.querySelector(".zoom:popover-open img")?.naturalWidth === 1200`)
	d.check("zoom")
	d.wantNoFaults()

	// All pages are readable without JavaScript.
	d.do(emulation.SetScriptExecutionDisabled(true))
	for path, want := range map[string]string{"/": job.ID, "/events": job.ID, "/events/" + string(first): "1200 × 900", "/setup": "RECEIVER_DATA_DIR"} {
		d.open(path)
		if !strings.Contains(d.html(), want) {
			t.Errorf("%s without JavaScript has no %q, want it", path, want)
		}
	}
	d.wantNoFaults()
	d.do(emulation.SetScriptExecutionDisabled(false))

	// After the file is deleted the page has a placeholder.
	gone, err := filepath.Glob(filepath.Join(d.receiver.folder, "images", "2*"))
	if err != nil || len(gone) == 0 {
		t.Fatalf("%d files, error %v; want some", len(gone), err)
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
	d.takeFaults() // status 404
}

// A browser opens six connections to a server. Each of seven tabs is live while it is shown, and shows what happened while it was not.
func testHiddenTabs(t *testing.T, c *chromium) {
	const number = 7
	d := openDashboard(t, c, nil)
	profile := c.profile(t)
	tabs := []*browser{c.attach(t, d.receiver, c.window(t, profile))}
	for n := range number {
		if n > 0 {
			tabs = append(tabs, c.attach(t, d.receiver, c.tab(t, profile)))
		}
		tabs[n].do(page.BringToFront())
		tabs[n].open("/events")
		tabs[n].await(`document.querySelector("[data-live].up")`)
	}
	for _, tab := range tabs[:number-1] {
		tab.await("document.hidden")
	}
	id, _ := d.send(fakevendortest.JobOptions{Width: 80, Height: 60})
	for _, tab := range tabs {
		tab.do(page.BringToFront())
		tab.await(`!document.hidden && document.querySelector("tbody a[href='/events/` + string(id) + `']")`)
		tab.wantNoFaults()
	}
}

func testReplayPage(t *testing.T, c *chromium) {
	d := openDashboard(t, c, nil)
	dead, _ := d.send(fakevendortest.JobOptions{
		Format: fakevendortest.JPEG, Width: 640, Height: 480, Images: 2, Shape: fakevendortest.ResultObjects, Faults: []fakevendortest.Fault{gone()},
	})
	d.receiver.await(t, dead)
	d.open("/events?status=dead")
	d.click("tbody .job a")
	d.await(`document.querySelector(".steps .badge.dead")`)
	d.check("event-dead")
	d.click("details.ask > summary")
	d.click("details.ask form button")
	d.await(`document.querySelector(".notice")`)
	d.await(`document.querySelector(".steps .badge.done") && document.querySelectorAll(".pictures .view img").length === 2`)
	d.wantNoFaults()
}

func testBulkReplayPages(t *testing.T, c *chromium) {
	d := openDashboard(t, c, nil)
	for range 3 {
		id, _ := d.send(fakevendortest.JobOptions{Format: fakevendortest.WebP, Width: 300, Height: 500, Faults: []fakevendortest.Fault{gone()}})
		d.receiver.await(t, id)
	}
	other, _ := d.send(fakevendortest.JobOptions{Format: fakevendortest.PNG, Width: 512, Height: 512, Faults: []fakevendortest.Fault{{Kind: fakevendortest.Page}}})
	d.receiver.await(t, other)
	post(t, d.client, d.receiver.webhook(), []byte(`{"jub":"a","token":"hunter2"}`))
	post(t, d.client, d.receiver.webhook(), []byte(`{"job":"a"`))
	d.open("/")
	d.await(`document.querySelector(".tile.dead strong").textContent === "4"`)
	d.check("overview")
	d.open("/events?status=dead&reason=auth")
	d.check("events")
	d.click(".pager .end")
	d.await(`document.querySelector("main button")?.dataset.count === "3"`)
	d.check("replay")
	d.click("main form button")
	d.await(`document.querySelector(".tile.dead strong")?.textContent === "1"`)
	d.open("/rejected")
	d.await(`document.querySelector("article[data-code=malformed]") && document.querySelector("article[data-code=invalid]")`)
	if text := d.text("#content"); strings.Contains(text, "hunter2") {
		t.Errorf("rejected bodies = %q, want no secret", text)
	}
	d.check("rejected")
	d.click("article[data-code=invalid] details.ask > summary")
	d.await(`document.querySelector("article[data-code=invalid] details.ask[open] input[name=job]")`)
	d.check("rejected-accept")
	d.open("/rejected")
	d.click("article[data-code=malformed] details.ask > summary")
	d.click("article[data-code=malformed] form[action$='/accept'] button")
	d.await(`document.querySelector("[data-notice=accepted]") && !document.querySelector("article[data-code=malformed]")`)
	d.wantNoFaults()
}

// Events of forged callbacks are quarantined. One is verified again, one is released from its page, the others from the list.
func testQuarantinePages(t *testing.T, c *chromium) {
	d := openDashboard(t, c, trust)
	var ids []event.ID
	var jobs []fakevendortest.Job
	for range 4 {
		id, job := d.send(fakevendortest.JobOptions{State: fakevendortest.Forged, Width: 200, Height: 150})
		d.receiver.reaches(t, id, event.Quarantined)
		ids, jobs = append(ids, id), append(jobs, job)
	}
	if err := d.vendor.SetState(jobs[0].ID, fakevendortest.Complete); err != nil {
		t.Fatal(err)
	}
	d.open("/events?status=quarantined")
	d.check("quarantine")
	d.click("tbody a[href='/events/" + string(ids[0]) + "']")
	d.await(`document.querySelector("h1 + .badge.quarantined")`)
	d.check("event-quarantined")
	d.click("form[action$='/verify'] button")
	d.await(`document.querySelector("h1 + .badge.done") && document.querySelector(".pictures img")?.naturalWidth > 0`)
	d.await(`document.querySelector(".meta [data-verified]")`)

	d.open("/events/" + string(ids[1]))
	d.click("details.ask > summary")
	d.check("release")
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
	d.wantNoFaults()
}

// The token is shown on request only. A test event goes through the public listener.
func testSetupPage(t *testing.T, c *chromium) {
	d := openDashboard(t, c, nil)
	d.open("/setup")
	if strings.Contains(d.html(), token) {
		t.Error("the page has the token before it was revealed, want it after")
	}
	d.click("form[action='/setup'] button")
	d.await(`document.querySelector("#webhook")?.value.endsWith("` + token + `")`)
	d.click("[data-copy]")
	d.await(`document.querySelector("[data-copy]").textContent === "Copied"`)
	d.do(chromedp.Evaluate(`document.querySelectorAll("details.defaults").forEach(group => group.open = true)`, nil))
	d.check("setup")
	d.click("form[action='/setup/test-event'] button")
	d.await(`document.querySelector(".steps")?.textContent.includes("host not allowed")`)
	d.wantNoFaults()
}

// adminToken is the token of admin listeners that need one.
const adminToken = "admin-token-0123456789"

func requireToken(t *testing.T) func(*config.Config, *fakevendortest.Vendor) {
	return func(c *config.Config, _ *fakevendortest.Vendor) {
		if err := c.Admin.Token.Decode(adminToken); err != nil {
			t.Fatal(err)
		}
	}
}

// logIn logs in and opens the list of events.
func (d *dashboard) logIn() {
	d.t.Helper()
	d.open("/login?next=/events")
	d.do(chromedp.SendKeys("input[name=token]", adminToken, chromedp.ByQuery), chromedp.Submit("input[name=token]", chromedp.ByQuery))
	d.await(`location.pathname === "/events" && document.querySelector("[data-live].up")`)
}

// session returns the session cookie of the tab.
func (d *dashboard) session() *http.Cookie {
	d.t.Helper()
	var found []*network.Cookie
	d.do(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		found, err = network.GetCookies().Do(ctx)
		return err
	}))
	if len(found) != 1 || !found[0].HTTPOnly || found[0].SameSite != network.CookieSameSiteStrict {
		d.t.Fatalf("cookies = %+v, want one with HttpOnly and SameSite=Strict", found)
	}
	return &http.Cookie{Name: found[0].Name, Value: found[0].Value}
}

// statusWith returns the status of a request with a copy of a cookie.
func (d *dashboard) statusWith(cookie *http.Cookie) int {
	d.t.Helper()
	request, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, d.base+"/api/v1/events", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	request.AddCookie(cookie)
	response, err := d.client.Do(request)
	if err != nil {
		d.t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// Without the token no page is shown. After a logout a copy of the cookie is refused.
func testLogin(t *testing.T, c *chromium) {
	d := openDashboard(t, c, requireToken(t))
	d.open("/events")
	d.await(`location.pathname === "/login"`)
	d.check("login")
	d.do(chromedp.SendKeys("input[name=token]", "admin-token-wrong-one", chromedp.ByQuery), chromedp.Submit("input[name=token]", chromedp.ByQuery))
	d.await(`document.querySelector("[data-problem$=':unauthorized']")`)
	d.takeFaults() // status 401
	d.logIn()
	d.wantNoFaults()
	cookie := d.session()
	if status := d.statusWith(cookie); status != http.StatusOK {
		t.Errorf("session: status = %d, want 200", status)
	}
	d.click("form[action='/logout'] button")
	d.await(`location.pathname === "/login"`)
	if status := d.statusWith(cookie); status != http.StatusUnauthorized {
		t.Errorf("ended session: status = %d, want 401", status)
	}
	d.takeFaults() // requests that were running when the session ended
	d.open("/setup")
	d.await(`location.pathname === "/login"`)
	d.wantNoFaults()
}
