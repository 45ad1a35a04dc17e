package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// What a browser test needs from outside, and where it leaves pictures of the pages if that is set.
const (
	axeVariable         = "TEST_AXE" // the file of axe-core; .ci/with-browser sets it
	screenshotsVariable = "TEST_SCREENSHOTS"
)

// browser is one tab of a real Chromium. Whatever a page complains of fails the test.
type browser struct {
	t      *testing.T
	ctx    context.Context
	base   string // of the receiver; every request goes there
	mutex  sync.Mutex
	faults []string
	shots  string
}

// openBrowser starts a Chromium with a profile of its own. Where there is none the test is skipped, but never in CI.
func openBrowser(t *testing.T, base string) *browser {
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
	b := &browser{t: t, base: base, shots: os.Getenv(screenshotsVariable)}
	profile := profileFolder(t)
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(program), chromedp.UserDataDir(profile), chromedp.NoFirstRun, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Headless,
	}
	for _, flag := range []string{"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync", "disable-dev-shm-usage"} {
		options = append(options, chromedp.Flag(flag, true))
	}
	allocated, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	tab, closeTab := chromedp.NewContext(allocated)
	t.Cleanup(func() {
		_ = chromedp.Cancel(tab) // waits for the end of the process
		closeTab()
	})
	limited, stop := context.WithTimeout(tab, 5*patience)
	t.Cleanup(stop)
	b.ctx = limited
	chromedp.ListenTarget(tab, b.hear)
	b.do(network.Enable(), log.Enable(), runtime.Enable())
	return b
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
		if !strings.HasPrefix(e.Request.URL, b.base) && !strings.HasPrefix(e.Request.URL, "data:") {
			b.faults = append(b.faults, "request to another host: "+e.Request.URL)
		}
	}
}

// do runs actions; the first that fails ends the test.
func (b *browser) do(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
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

// await waits until an expression of JavaScript is true.
func (b *browser) await(expression string) {
	b.t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		var is bool
		err := chromedp.Run(b.ctx, chromedp.Evaluate("Boolean("+expression+")", &is)) // it fails while a page goes and another comes
		if err == nil && is {
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

// look holds a page against axe-core in both colours and both widths, and leaves pictures of it if they are wanted.
func (b *browser) look(name string) {
	b.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1280, 390} {
			isLookedAt := (scheme == "light") == (width == 1280) // each colour and each width once
			if !isLookedAt && b.shots == "" {
				continue
			}
			b.do(
				emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
				chromedp.EmulateViewport(width, 900),
			)
			var overflow int
			b.do(chromedp.Evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth", &overflow))
			if overflow > 0 {
				b.t.Errorf("%s at %d pixels is %d too wide", name, width, overflow)
			}
			if isLookedAt {
				b.examine(name, scheme)
			}
			if b.shots != "" {
				var picture []byte
				b.do(chromedp.FullScreenshot(&picture, 100))
				if err := os.WriteFile(filepath.Join(b.shots, fmt.Sprintf("%s-%s-%d.png", name, scheme, width)), picture, 0o600); err != nil {
					b.t.Fatal(err)
				}
			}
		}
	}
}

// examine runs axe-core in the page.
func (b *browser) examine(name, scheme string) {
	b.t.Helper()
	path := os.Getenv(axeVariable)
	if path == "" {
		return // TestDashboard says so
	}
	script, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	var found string
	b.do(chromedp.Evaluate(string(script), nil), chromedp.Evaluate(
		`axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations.map(v => v.id + ": " + v.help + " " + v.nodes.slice(0, 3).map(n => n.html.slice(0, 160) + " " + n.any.map(c => c.message).join(" ")).join(" | "))))`,
		&found, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	var violations []string
	if err := json.Unmarshal([]byte(found), &violations); err != nil {
		b.t.Fatal(err)
	}
	for _, violation := range violations {
		b.t.Errorf("%s, %s: %s", name, scheme, violation)
	}
}

// needAxe says that pages are not held against axe-core. In CI that is a failure.
func needAxe(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(os.Getenv(axeVariable)); errors.Is(err, fs.ErrNotExist) || os.Getenv(axeVariable) == "" {
		const missing = "NOT LOOKED AT with axe-core: run the test through .ci/with-browser"
		if os.Getenv("CI") != "" {
			t.Fatal(missing)
		}
		t.Log(missing)
	}
}
