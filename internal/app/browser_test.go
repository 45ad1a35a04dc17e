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
)

// screenshotsVariable names the folder in which pictures of the pages are left, if it is set.
const screenshotsVariable = "TEST_SCREENSHOTS"

// Hosts for which Chromium asks no name server: all of them are this machine, as a rebound name is.
const (
	strangeHost = "stranger.test"
	reboundHost = "rebound.test"
)

// chromium is one process of a real browser, whose tabs know nothing of each other.
type chromium struct {
	ctx context.Context
	axe string // the script of axe-core; "" when there is none
}

// startChromium starts the process. Where there is none the test is skipped, but never in CI.
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
		"disable-renderer-backgrounding", "disable-background-timer-throttling", "disable-backgrounding-occluded-windows",
	} {
		options = append(options, chromedp.Flag(flag, true))
	}
	allocated, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ignore := func(string, ...any) {} // events that chromedp does not know
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

// profileFolder is removed when the browser has let go of it, which may be a moment after its end.
func profileFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "receiver-chromium-") //nolint:usetesting // TempDir fails when a file appears while it removes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

// browser is one tab, with cookies and a cache of its own. Whatever a page complains of fails the test.
type browser struct {
	t      *testing.T
	ctx    context.Context
	base   string // of the receiver; every request goes there
	axe    string
	shots  string
	mutex  sync.Mutex
	faults []string
}

// open opens a tab for a receiver's admin door.
func (c *chromium) open(t *testing.T, r *receiver) *browser {
	t.Helper()
	b := &browser{t: t, base: "http://" + r.AdminAddr().String(), axe: c.axe, shots: os.Getenv(screenshotsVariable)}
	tab, closeTab := chromedp.NewContext(c.ctx, chromedp.WithTargetID(c.window(t)))
	t.Cleanup(closeTab)
	limited, stop := context.WithTimeout(tab, 4*patience)
	t.Cleanup(stop)
	b.ctx = limited
	chromedp.ListenTarget(tab, b.hear)
	b.do(network.Enable(), log.Enable(), runtime.Enable(), emulation.SetFocusEmulationEnabled(true), chromedp.EmulateViewport(1280, 900))
	return b
}

// window is a new one, whose tab shares nothing with others.
func (c *chromium) window(t *testing.T) target.ID {
	t.Helper()
	process := cdp.WithExecutor(c.ctx, chromedp.FromContext(c.ctx).Browser)
	profile, err := target.CreateBrowserContext().WithDisposeOnDetach(true).Do(process)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = target.DisposeBrowserContext(profile).Do(process) })
	id, err := target.CreateTarget("about:blank").WithBrowserContextID(profile).WithNewWindow(true).Do(process)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// hear keeps what the browser complains of, and every request that leaves for somewhere else.
func (b *browser) hear(event any) {
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

// do runs actions; the first that fails ends the test.
func (b *browser) do(actions ...chromedp.Action) {
	b.t.Helper()
	b.must(chromedp.Run(b.ctx, actions...))
}

// must ends the test with the page in which something failed.
func (b *browser) must(err error) {
	b.t.Helper()
	if err != nil {
		var page string
		if !errors.Is(err, context.DeadlineExceeded) {
			_ = chromedp.Run(b.ctx, chromedp.InnerHTML("body", &page, chromedp.ByQuery))
		}
		b.t.Fatalf("%v\n%s\n%.3000s", err, strings.Join(b.complaints(), "\n"), page)
	}
}

func (b *browser) open(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.base+path), chromedp.WaitVisible("#content", chromedp.ByQuery))
}

// click clicks what a selector finds first. A page that follows what happens may just have put something new in its place.
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

// await waits until an expression of JavaScript is true.
func (b *browser) await(expression string) {
	b.t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		var ok bool
		err := chromedp.Run(b.ctx, chromedp.Evaluate("Boolean("+expression+")", &ok)) // it fails while a page goes and another comes
		if err == nil && ok {
			return
		}
		select {
		case <-ticker.C:
		case <-b.ctx.Done():
			b.t.Fatalf("never true: %s", expression)
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

// complaints gives what has been heard, and forgets it.
func (b *browser) complaints() []string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	list := b.faults
	b.faults = nil
	return list
}

// quiet fails the test if the browser has complained.
func (b *browser) quiet() {
	b.t.Helper()
	for _, complaint := range b.complaints() {
		b.t.Error(complaint)
	}
}

// look holds a page against axe-core, light and dark, on a wide screen and on a phone. It leaves pictures of the page if they are wanted.
func (b *browser) look(name string) {
	b.t.Helper()
	begun := time.Now()
	for _, of := range []struct {
		scheme string
		width  int64
		rules  string
	}{
		{"light", 1280, allRules}, {"dark", 1280, ofColours}, {"dark", 390, allRules}, {"light", 390, ofColours},
	} {
		b.dress(of.scheme, of.width)
		b.examine(fmt.Sprintf("%s, %s, %d pixels", name, of.scheme, of.width), of.rules)
		b.shoot(name, of.scheme, int(of.width))
	}
	b.dress("light", 1280)
	b.t.Logf("looked at %s for %v", name, time.Since(begun).Round(time.Millisecond))
}

// dress gives the page a colour scheme and a width, which it has to fit.
func (b *browser) dress(scheme string, width int64) {
	b.t.Helper()
	var overflow int
	b.do(
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
		chromedp.EmulateViewport(width, 900),
		chromedp.Evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth", &overflow),
	)
	if overflow > 0 {
		b.t.Errorf("at %d pixels it is %d too wide: %s", width, overflow, b.text("h1"))
	}
}

func (b *browser) shoot(name, scheme string, width int) {
	b.t.Helper()
	if b.shots == "" {
		return
	}
	var picture []byte
	b.do(chromedp.FullScreenshot(&picture, 100))
	if err := os.WriteFile(filepath.Join(b.shots, fmt.Sprintf("%s-%s-%d.png", name, scheme, width)), picture, 0o600); err != nil {
		b.t.Fatal(err)
	}
}
