package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/fakevendor/fakevendortest"
	"github.com/deepimage-receiver/receiver/internal/handler/forward"
)

// The overview shows a target that is down with its next retry, and a disabled target with its last response. After it is
// enabled its deferred step runs.
func testTargetsOnOverview(t *testing.T, c *chromium) {
	failing, gone := newForwardTarget(t), newForwardTarget(t)
	failing.fails.Store(true)
	gone.gone.Store(true)
	d := openDashboard(t, c, func(c *config.Config, _ *fakevendortest.Vendor) {
		*c = forwarding(t, *c, failing, gone)
		own := c.Handlers[len(c.Handlers)-1].Config.(*forward.Config)
		own.CircuitFailures, own.CircuitPause = 1, time.Hour
	})
	d.send(fakevendortest.JobOptions{Width: 300, Height: 200})
	d.open("/")
	d.await(`document.querySelector(".circuit .badge.retrying[data-deferred='1']") && document.querySelector(".circuit .badge.dead[data-deferred='1']")`)
	for _, want := range []string{"500 Internal Server Error", "410 Gone"} { // the responses of the targets
		if got := strings.Join(strings.Fields(d.text(".handlers")), " "); !strings.Contains(got, want) {
			t.Errorf("handlers of the overview = %q, want %q in it", got, want)
		}
	}
	d.check("overview-targets")
	gone.gone.Store(false)
	d.click("form[action$='/enable'] button")
	d.await(`document.querySelector(".notice[data-notice=enabled]")`)
	await(t, d.receiver, "the event reaches the target that was enabled", func() bool { return gone.has() == 1 })
	d.await(`!document.querySelector(".circuit .badge.dead")`)
	d.click(".circuit .ask > summary")
	d.click("form[action='/targets/download/disable'] button")
	d.await(`document.querySelector("tr:first-child .circuit .badge.dead")`)
	d.wantNoFaults()
}
