package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/deepimage-receiver/receiver/api/apitest"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/fakevendor"
	"github.com/deepimage-receiver/receiver/internal/handler/forward"
)

// A target that fails is left alone, and the overview says until when. One that wants nothing more is disabled, with what it
// answered; a person enables it, and what was parked goes to it.
func targetsRestAndAreEnabled(t *testing.T, c *chromium) {
	failing, gone := newForwardTarget(t), newForwardTarget(t)
	failing.fails.Store(true)
	gone.gone.Store(true)
	d := sit(t, c, func(c *config.Config, _ *fakevendor.Vendor) {
		*c = forwarding(t, *c, failing, gone)
		own := c.Handlers[len(c.Handlers)-1].Config.(*forward.Config)
		own.CircuitFailures, own.CircuitPause = 1, time.Hour
	})
	d.send(fakevendor.JobOptions{Width: 300, Height: 200})
	d.open("/")
	d.await(`document.querySelector(".circuit .badge.retrying") && document.querySelector(".circuit .badge.dead")`)
	for _, want := range []string{"resting 1 parked, tried again at ", "the last call failed: ", "500 Internal Server Error", "disabled 1 parked", "410 Gone"} {
		if text := strings.Join(strings.Fields(d.text(".handlers")), " "); !strings.Contains(text, want) {
			t.Errorf("the overview does not say %q: %s", want, text)
		}
	}
	d.look("overview-targets")
	gone.gone.Store(false)
	d.click("form[action$='/enable'] button")
	d.await(`document.querySelector(".notice")?.textContent.includes("first what was parked")`)
	await(t, d.receiver, "the event reaches the target that was enabled", func() bool { return gone.has() == 1 })
	d.await(`!document.querySelector(".circuit .badge.dead")`)
	d.click(".circuit .ask > summary")
	d.click("form[action='/targets/download/disable'] button")
	d.await(`document.querySelector("tr:first-child .circuit .badge.dead")`)
	d.quiet()
}

// Every path and method of the specification is on the page, with its parameters and its answers.
func apiCanBeRead(t *testing.T, c *chromium) {
	d := sit(t, c, nil)
	d.open("/api")
	text := map[string]string{}
	d.do(chromedp.Evaluate(`Object.fromEntries([...document.querySelectorAll(".operation")].map(o =>
		[o.querySelector("summary").textContent.trim().split(/\s+/).slice(0, 2).join(" "), o.textContent]))`, &text))
	for path, item := range apitest.Load(t).OpenAPI.Paths.Map() {
		for method, operation := range item.Operations() {
			told, ok := text[method+" "+path]
			if !ok {
				t.Errorf("%s %s is not on the page", method, path)
			}
			for _, p := range operation.Parameters {
				if !strings.Contains(told, p.Value.Name) {
					t.Errorf("%s %s: no word of %s", method, path, p.Value.Name)
				}
			}
			for status := range operation.Responses.Map() {
				if !strings.Contains(told, status) {
					t.Errorf("%s %s: no word of %s", method, path, status)
				}
			}
		}
	}
	d.do(chromedp.Evaluate(`["listEvents", "expect", "schema-Stats"].forEach(id => document.getElementById(id).parentElement.open = true)`, nil))
	d.look("api")
	d.click("#schema-Stats a[href='#schema-Reason']") // what a link leads to is opened
	d.await(`document.querySelector("#schema-Reason").parentElement.open`)
	d.quiet()
}
