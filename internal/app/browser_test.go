package app_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/deepimage-receiver/receiver/internal/testkit"
)

// screenshotsVariable is the folder for screenshots of the pages; none are made without it.
const screenshotsVariable = "TEST_SCREENSHOTS"

// Host names that Chromium resolves to this machine.
const (
	otherSite   = "other.test"
	reboundHost = "rebound.test"
)

// chromium is a browser process whose tabs share nothing.
type chromium struct {
	ctx context.Context
	axe string // script of axe-core; "" without it
}

// startChromium starts the process. Without Chromium the test is skipped, and fails in CI.
func startChromium(t *testing.T) *chromium {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		program, err = exec.LookPath("google-chrome")
	}
	if err != nil {
		const advice = "Chromium is missing: install it (Debian: chromium) to run this test"
		if os.Getenv("CI") != "" {
			t.Fatal(advice)
		}
		t.Skip("SKIPPED, NOT PASSED: " + advice)
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(program), chromedp.UserDataDir(profileFolder(t)), chromedp.NoFirstRun, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Headless, chromedp.Flag("host-resolver-rules", "MAP *.test 127.0.0.1"),
	}
	for _, flag := range []string{
		"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync", "disable-dev-shm-usage",
		"process-per-site", "disable-extensions", "disable-component-extensions-with-background-pages", "disable-renderer-backgrounding", "disable-background-timer-throttling", "disable-backgrounding-occluded-windows",
	} {
		options = append(options, chromedp.Flag(flag, true))
	}
	allocated, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ignore := func(string, ...any) {} // unknown events
	process, closeProcess := chromedp.NewContext(allocated, chromedp.WithErrorf(ignore))
	t.Cleanup(func() {
		_ = chromedp.Cancel(process) // waits for the end of the process
		closeProcess()
	})
	if err := chromedp.Run(process); err != nil {
		t.Fatal(err)
	}
	return &chromium{ctx: process, axe: readAxe(t)}
}

// profileFolder returns a folder that is removed after the test, also if the browser still writes to it.
func profileFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "receiver-chromium-") //nolint:usetesting // TempDir fails when a file appears while it removes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

// browser is one tab with its own cookies and cache. It records errors of the pages.
type browser struct {
	t      *testing.T
	ctx    context.Context
	base   string // of the receiver; every request goes there
	axe    string
	shots  string
	mutex  sync.Mutex
	faults []string
}

// open opens a tab for the dashboard of a receiver.
func (c *chromium) open(t *testing.T, r *receiver) *browser {
	t.Helper()
	b := c.attach(t, r, c.window(t, c.profile(t)))
	b.do(emulation.SetFocusEmulationEnabled(true))
	return b
}

// attach returns the tab with an id.
func (c *chromium) attach(t *testing.T, r *receiver, id target.ID) *browser {
	t.Helper()
	b := &browser{t: t, base: "http://" + r.AdminAddr().String(), axe: c.axe, shots: os.Getenv(screenshotsVariable)}
	tab, closeTab := chromedp.NewContext(c.ctx, chromedp.WithTargetID(id))
	t.Cleanup(closeTab)
	limited, stop := context.WithTimeout(tab, 4*testkit.Timeout)
	t.Cleanup(stop)
	b.ctx = limited
	chromedp.ListenTarget(tab, b.record)
	b.do(network.Enable(), log.Enable(), runtime.Enable(), chromedp.EmulateViewport(1280, 900))
	return b
}

// process is the context of commands for the process.
func (c *chromium) process() context.Context {
	return cdp.WithExecutor(c.ctx, chromedp.FromContext(c.ctx).Browser)
}

// profile makes a profile, which shares nothing with others.
func (c *chromium) profile(t *testing.T) cdp.BrowserContextID {
	t.Helper()
	id, err := target.CreateBrowserContext().WithDisposeOnDetach(true).Do(c.process())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = target.DisposeBrowserContext(id).Do(c.process()) })
	return id
}

// window opens a window of a profile.
func (c *chromium) window(t *testing.T, profile cdp.BrowserContextID) target.ID {
	t.Helper()
	return c.create(t, target.CreateTarget("about:blank").WithBrowserContextID(profile).WithNewWindow(true))
}

// tab opens a tab in the window of a profile.
func (c *chromium) tab(t *testing.T, profile cdp.BrowserContextID) target.ID {
	t.Helper()
	return c.create(t, target.CreateTarget("about:blank").WithBrowserContextID(profile))
}

func (c *chromium) create(t *testing.T, request *target.CreateTargetParams) target.ID {
	t.Helper()
	id, err := request.Do(c.process())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// record keeps errors and warnings of the browser, and requests to other hosts.
func (b *browser) record(event any) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.faults = append(b.faults, "exception: "+e.ExceptionDetails.Error())
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
			b.faults = append(b.faults, fmt.Sprintf("console: %s %s", e.Type, e.Args[0].Value))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning {
			b.faults = append(b.faults, fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, b.base+"/") && !strings.HasPrefix(e.Request.URL, "data:") {
			b.faults = append(b.faults, "request to another host: "+e.Request.URL)
		}
	}
}

// do runs actions. The first failure ends the test.
func (b *browser) do(actions ...chromedp.Action) {
	b.t.Helper()
	b.must(chromedp.Run(b.ctx, actions...))
}

// must ends the test after an error, with the page in the message.
func (b *browser) must(err error) {
	b.t.Helper()
	if err != nil {
		var page string
		if !errors.Is(err, context.DeadlineExceeded) {
			_ = chromedp.Run(b.ctx, chromedp.InnerHTML("body", &page, chromedp.ByQuery))
		}
		b.t.Fatalf("error = %v, want none\n%s\n%.3000s", err, strings.Join(b.takeFaults(), "\n"), page)
	}
}

func (b *browser) open(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.base+path), chromedp.WaitVisible("#content", chromedp.ByQuery))
}

// click clicks the first match of a selector. It tries again if the page was replaced in the meantime.
func (b *browser) click(selector string) {
	b.t.Helper()
	const noSuchNode = -32000
	for {
		err := chromedp.Run(b.ctx, chromedp.Click(selector, chromedp.ByQuery))
		if failure, ok := errors.AsType[*cdproto.Error](err); !ok || failure.Code != noSuchNode {
			b.must(err)
			return
		}
	}
}

// await waits until a JavaScript expression is true.
func (b *browser) await(expression string) {
	b.t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		var ok bool
		err := chromedp.Run(b.ctx, chromedp.Evaluate("Boolean("+expression+")", &ok)) // it fails during a navigation
		if err == nil && ok {
			return
		}
		select {
		case <-ticker.C:
		case <-b.ctx.Done():
			b.t.Fatalf("got a timeout, want true: %s", expression)
		}
	}
}

func (b *browser) text(selector string) (text string) {
	b.t.Helper()
	b.do(chromedp.Text(selector, &text, chromedp.ByQuery))
	return text
}

// html is the whole page.
func (b *browser) html() (page string) {
	b.t.Helper()
	b.do(chromedp.OuterHTML("html", &page, chromedp.ByQuery))
	return page
}

// takeFaults returns the recorded faults and removes them.
func (b *browser) takeFaults() []string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	list := b.faults
	b.faults = nil
	return list
}

// wantNoFaults fails the test for each recorded fault.
func (b *browser) wantNoFaults() {
	b.t.Helper()
	for _, fault := range b.takeFaults() {
		b.t.Error(fault)
	}
}

// check checks a page with axe-core, light and dark, wide and narrow, and makes screenshots if they are requested.
func (b *browser) check(name string) {
	b.t.Helper()
	begun := time.Now()
	for _, of := range []struct {
		scheme string
		width  int64
		rules  string
	}{
		{scheme: "light", width: 1280, rules: allRules},
		{scheme: "dark", width: 1280, rules: colourRules},
		{scheme: "dark", width: 390, rules: allRules},
		{scheme: "light", width: 390, rules: colourRules},
	} {
		b.setDisplay(of.scheme, of.width)
		b.runAxe(fmt.Sprintf("%s, %s, %d pixels", name, of.scheme, of.width), of.rules)
		b.screenshot(name, of.scheme, int(of.width))
	}
	b.setDisplay("light", 1280)
	b.t.Logf("checked %s in %v", name, time.Since(begun).Round(time.Millisecond))
}

// setDisplay sets the colour scheme and the width, and checks that the page fits.
func (b *browser) setDisplay(scheme string, width int64) {
	b.t.Helper()
	var overflow int
	b.do(
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
		chromedp.EmulateViewport(width, 900),
		chromedp.Evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth", &overflow),
	)
	if overflow > 0 {
		b.t.Errorf("%s at %d pixels: overflow = %d, want none", b.text("h1"), width, overflow)
	}
}

func (b *browser) screenshot(name, scheme string, width int) {
	b.t.Helper()
	if b.shots == "" {
		return
	}
	var image []byte
	b.do(chromedp.FullScreenshot(&image, 100))
	if err := os.WriteFile(filepath.Join(b.shots, fmt.Sprintf("%s-%s-%d.png", name, scheme, width)), image, 0o600); err != nil {
		b.t.Fatal(err)
	}
}
