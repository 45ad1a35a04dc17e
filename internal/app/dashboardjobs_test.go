package app_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// An image is submitted from the page of jobs and its callback arrives. Other jobs are tracked.
func testJobsPage(t *testing.T, c *chromium) {
	var receives atomic.Pointer[receiver]
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxyTo(t, receives.Load().url("")).ServeHTTP(w, r)
	}))
	t.Cleanup(outside.Close)
	d := openDashboard(t, c, func(c *config.Config, v *fakevendortest.Vendor) {
		c.DeepImage.APIKey, c.DeepImage.URL, c.PublicURL = secret.New(v.APIKey()), v.APIURL(), outside.URL
	})
	receives.Store(d.receiver)
	d.open("/jobs")
	d.await(`document.querySelector("[data-empty=jobs] code")?.textContent === "receiver jobs track JOB…"`)
	d.click("details.ask > summary.button:not(.plain)")
	d.check("jobs-form")
	d.do(chromedp.SetValue("input[name=url]", "https://example.com/photo.jpg", chromedp.ByQuery), chromedp.SetValue("input[name=width]", "200%", chromedp.ByQuery),
		chromedp.SetValue("input[name=reference]", "SKU-4711 rot", chromedp.ByQuery))
	d.do(chromedp.Submit("input[name=url]", chromedp.ByQuery))
	d.await(`location.search.includes("did=submitted") && document.querySelector(".jobs .badge.done")`)
	d.await(`document.querySelector(".jobs .name")?.textContent === "SKU-4711 rot" && document.querySelector(".jobs .sub").textContent.startsWith("photo.jpg · ")`)
	d.open("/jobs")
	d.click("details.ask > summary.plain")
	d.do(chromedp.SetValue("textarea[name=jobs]", "first\nsecond\nfirst", chromedp.ByQuery), chromedp.Submit("textarea[name=jobs]", chromedp.ByQuery))
	d.await(`document.querySelector(".notice[data-notice=tracking]")?.textContent.startsWith("2 ")`)
	d.check("jobs")
	d.open("/jobs?state=waiting")
	d.await(`document.querySelectorAll(".jobs tbody tr").length === 2`)
	d.open("/jobs")
	d.click(".jobs a")
	d.await(`document.querySelector(".steps .badge.done") && document.querySelector(".pictures img")?.naturalWidth > 0`)
	d.await(`document.querySelector("h1.name")?.textContent === "SKU-4711 rot" && document.querySelector("[data-input]")?.textContent === "photo.jpg"`)
	d.check("event-with-names")
	d.open("/events?q=rot+phot")
	d.await(`document.querySelector(".events .name")?.textContent === "SKU-4711 rot"`)
	d.check("events-with-names")
	d.open("/events?q=rot+other")
	d.await(`document.querySelector("[data-empty=filter]")`)
	d.wantNoFaults()
}
