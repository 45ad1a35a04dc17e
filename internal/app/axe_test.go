package app_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// axeVariable names the file of axe-core; .ci/with-servers sets it.
const axeVariable = "TEST_AXE"

// readAxe reads axe-core. Where there is none pages are not held against it, which is a failure in CI.
func readAxe(t *testing.T) string {
	t.Helper()
	script, err := os.ReadFile(os.Getenv(axeVariable))
	if err == nil {
		return string(script)
	}
	const missing = "NOT LOOKED AT with axe-core: run the test through .ci/with-servers"
	if os.Getenv("CI") != "" {
		t.Fatal(missing, err)
	}
	t.Log(missing)
	return ""
}

// runAxe gives a sentence for each violation that axe-core finds in the page, by the rules it is given; all if there are none.
const runAxe = `(rules => axe.run(document, {resultTypes: ["violations"], ...(rules.length && {runOnly: rules})}))(%s).then(found => JSON.stringify(found.violations.map(v =>
	v.id + ": " + v.help + " " + v.nodes.slice(0, 3).map(n => n.html.slice(0, 160) + " " + n.any.map(c => c.message).join(" ")).join(" | "))))`

// What a page is held against: everything, or the rules of colours once the others have been looked at in the same width.
const (
	allRules  = "[]"
	ofColours = `["color-contrast", "link-in-text-block"]`
)

// examine runs axe-core in the page.
func (b *browser) examine(name, rules string) {
	b.t.Helper()
	if b.axe == "" {
		return // readAxe says so
	}
	var ok bool
	b.do(chromedp.Evaluate(`"axe" in window`, &ok))
	if !ok {
		b.do(chromedp.Evaluate(b.axe, nil))
	}
	var found string
	var violations []string
	b.do(chromedp.Evaluate(fmt.Sprintf(runAxe, rules), &found, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	if err := json.Unmarshal([]byte(found), &violations); err != nil {
		b.t.Fatal(err)
	}
	for _, violation := range violations {
		b.t.Errorf("%s: %s", name, violation)
	}
}
