package app_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/database"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"github.com/deepimage-receiver/receiver/internal/event"
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

// E4: verification and a target are configured no more while steps wait for them. The overview marks both. The steps of the target are
// kept and those of the verification skipped, by buttons; then the images are stored.
func testUnattendedSteps(t *testing.T, c *chromium) {
	v, client, target := vendor(t), newClient(t), newForwardTarget(t)
	target.fails.Store(true)
	without := configuration(t, databasetest.NewPlace(t, database.SQLite))
	with := forwarding(t, without, target)
	with.Handlers[1].Config.(*forward.Config).CircuitPause = time.Hour
	name := with.Handlers[1].Steps()[0].Name
	r := start(t, with)
	r.reaches(t, sendJobs(t, client, r, v, 1)[0], event.Retrying)
	r.stop()
	trust(&with, v)
	r = start(t, with)
	job := newJob(t, v, withAPIFault(fakevendortest.APIFault{Kind: fakevendortest.Refuse, Status: http.StatusServiceUnavailable}))
	waits := post(t, client, r.webhook(), v.Callback(job, r.webhook())).ID
	r.reaches(t, waits, event.Retrying)
	r.stop()

	r = start(t, without)
	d := &dashboard{c.open(t, r), r, v, client}
	d.open("/")
	d.await(`document.querySelector("[data-unattended=verify]") && document.querySelector("[data-unattended=` + name + `]")`)
	d.check("overview-unattended")
	press := func(action, notice string) {
		d.do(chromedp.Evaluate(`document.querySelector("form[action$='`+action+`']").closest("details")?.setAttribute("open", "")`, nil))
		d.click("form[action$='" + action + "'] button")
		d.await(`document.querySelector(".notice[data-notice=` + notice + `]")`)
	}
	press("/targets/"+name+"/keep", "kept")
	d.await(`!document.querySelector("[data-unattended=` + name + `]") && document.querySelector("[data-unattended=verify]")`)
	press("/targets/verify/drop", "dropped")
	d.await(`!document.querySelector("[data-unattended]")`)
	if step := r.reaches(t, waits, event.Retrying, event.Done, event.Pending).Steps[0]; step.State != event.Skipped {
		t.Errorf("E4 state of the verification = %s, want skipped", step.State)
	}
	await(t, r, "the image is stored", func() bool {
		details, err := r.Stores().History.Load(t.Context(), waits)
		return err == nil && len(details.Steps) > 1 && details.Steps[1].State == event.Done
	})
	d.wantNoFaults()
}

// The page of an event whose body was compressed has a link to the bytes as they came.
func testOriginalPage(t *testing.T, c *chromium) {
	d := openDashboard(t, c, nil)
	body := compressed(t, []byte(`{"job":"compressed","data":{}}`))
	id := postWith(t, d.client, d.receiver.webhook(), http.Header{"Content-Encoding": {"gzip"}}, body).ID
	d.receiver.await(t, id)
	d.open("/events/" + string(id))
	d.await(`document.querySelector("a[href$='/original']")`)
	var same bool
	d.do(chromedp.Evaluate(`fetch(document.querySelector("a[href$='/original']").href).then(r => r.arrayBuffer()).then(b =>
		btoa(String.fromCharCode(...new Uint8Array(b))) === "`+base64.StdEncoding.EncodeToString(body)+`")`, &same, awaitPromise))
	if !same {
		t.Error("A2 the downloaded bytes differ, want those that came")
	}
	d.wantNoFaults()
}

func awaitPromise(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }
