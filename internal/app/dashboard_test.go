package app_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fakevendor"
)

// What a person does with the dashboard, in a real browser.
func TestDashboard(t *testing.T) {
	t.Parallel()
	needAxe(t)
	v, client := vendor(t), newClient(t)
	r := start(t, configuration(t, databasetest.NewPlace(t, database.SQLite)))
	b := openBrowser(t, "http://"+r.AdminAddr().String())
	send := func(options fakevendor.JobOptions) event.ID {
		t.Helper()
		job, err := v.NewJob(options)
		if err != nil {
			t.Fatal(err)
		}
		a := post(t, client, r.webhook(), v.Callback(job, r.webhook()))
		if a.code != http.StatusOK {
			t.Fatalf("answer %+v", a)
		}
		return a.ID
	}

	b.open("/")
	if text := b.text("#content"); !strings.Contains(text, "No callback has come in yet") {
		t.Errorf("an empty receiver teaches nothing: %s", text)
	}
	b.look("overview-empty")
	for _, path := range []string{"/events", "/events?status=quarantined", "/rejected"} {
		b.open(path)
		b.look("empty-" + strings.Trim(strings.NewReplacer("/", "", "?", "-", "&", "-", "=", "-").Replace(path), "-"))
	}

	// An event shows up by itself, and its picture.
	b.open("/events")
	b.await(`document.querySelector("[data-live].up")`)
	first := send(fakevendor.JobOptions{Format: fakevendor.PNG, Width: 1200, Height: 900})
	b.await(`document.querySelector("tbody a[href='/events/` + string(first) + `']")`)
	b.await(`document.querySelector(".badge.done") && document.querySelector(".thumb img")?.naturalWidth > 0`)
	b.do(chromedp.Click("tbody .job a", chromedp.ByQuery))
	b.await(`document.querySelector(".pictures img")?.naturalWidth === 320`)
	b.look("event-done")
	b.quiet()

	// One that is dead is run again, and becomes done.
	gone := fakevendor.Fault{Kind: fakevendor.Status, Status: 404, Times: 1}
	dead := send(fakevendor.JobOptions{Format: fakevendor.JPEG, Width: 640, Height: 480, Images: 2, Shape: fakevendor.ResultObjects, Faults: []fakevendor.Fault{gone}})
	r.settled(t, dead)
	b.open("/events?status=dead")
	b.do(chromedp.Click("tbody .job a", chromedp.ByQuery))
	b.await(`document.querySelector(".steps .badge.dead")`)
	b.look("event-dead")
	b.do(chromedp.Click("details.ask > summary", chromedp.ByQuery), chromedp.Click("details.ask form button", chromedp.ByQuery))
	b.await(`document.querySelector(".notice")`)
	b.await(`document.querySelector(".steps .badge.done") && document.querySelectorAll(".pictures img").length === 2`)
	b.quiet()

	// Many at once, with a question before.
	for range 3 {
		r.settled(t, send(fakevendor.JobOptions{Format: fakevendor.WebP, Width: 300, Height: 500, Faults: []fakevendor.Fault{gone}}))
	}
	r.settled(t, send(fakevendor.JobOptions{Format: fakevendor.PNG, Width: 512, Height: 512, Faults: []fakevendor.Fault{{Kind: fakevendor.Page}}}))
	post(t, client, r.webhook(), []byte(`{"jub":"a","token":"hunter2"}`))
	post(t, client, r.webhook(), []byte(`{"job":"a"`))
	b.open("/")
	b.await(`document.querySelector(".tile.dead strong").textContent === "4"`)
	b.look("overview")
	b.open("/events?status=dead&reason=expired")
	b.look("events")
	b.do(chromedp.Click(".pager .end", chromedp.ByQuery))
	b.await(`document.querySelector("main button")?.textContent.includes("3 events")`)
	b.look("replay")
	b.do(chromedp.Click("main form button", chromedp.ByQuery))
	b.await(`document.querySelector(".tile.dead strong")?.textContent === "1"`)
	b.open("/rejected")
	if text := b.text("#content"); strings.Contains(text, "hunter2") || !strings.Contains(text, "Not JSON") {
		t.Errorf("rejected bodies: %s", text)
	}
	b.look("rejected")

	// The token is shown to who asks for it, and to nobody else.
	b.open("/setup")
	var page string
	b.do(chromedp.OuterHTML("html", &page, chromedp.ByQuery))
	if strings.Contains(page, token) {
		t.Error("the page holds the token before it was asked for")
	}
	b.do(chromedp.Click("form[action='/setup'] button", chromedp.ByQuery))
	b.await(`document.querySelector("#webhook")?.value.endsWith("` + token + `")`)
	b.look("setup")
	b.do(chromedp.Click("form[action='/setup/sample'] button", chromedp.ByQuery))
	b.await(`document.querySelector(".steps")?.textContent.includes("host not allowed")`)
	b.quiet()
}

// Who has the token logs in, and out; who has not sees nothing.
func TestDashboardLogIn(t *testing.T) {
	t.Parallel()
	c := configuration(t, databasetest.NewPlace(t, database.SQLite))
	if err := c.Admin.Token.Decode("admin-token-0123456789"); err != nil {
		t.Fatal(err)
	}
	r := start(t, c)
	b := openBrowser(t, "http://"+r.AdminAddr().String())
	b.open("/events")
	b.await(`location.pathname === "/login"`)
	b.look("login")
	b.do(chromedp.SendKeys("input[name=token]", "admin-token-wrong-one", chromedp.ByQuery), chromedp.Submit("input[name=token]", chromedp.ByQuery))
	b.await(`document.querySelector("h1")?.textContent.includes("token")`)
	b.complaints() // of the status 401
	b.open("/login?next=/events")
	b.do(chromedp.SendKeys("input[name=token]", "admin-token-0123456789", chromedp.ByQuery), chromedp.Submit("input[name=token]", chromedp.ByQuery))
	b.await(`location.pathname === "/events" && document.querySelector("[data-live].up")`)
	b.do(chromedp.Click("form[action='/logout'] button", chromedp.ByQuery))
	b.await(`location.pathname === "/login"`)
	b.complaints() // of what was under way when the session ended
	b.open("/setup")
	b.await(`location.pathname === "/login"`)
	b.quiet()
}
