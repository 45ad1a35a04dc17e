package app_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// axeVariable is the file of axe-core; .ci/with-node sets it.
const axeVariable = "TEST_AXE"

// readAxe reads axe-core. Without it pages are not checked, and the test fails in CI.
func readAxe(t *testing.T) string {
	t.Helper()
	script, err := os.ReadFile(os.Getenv(axeVariable))
	if err == nil {
		return string(script)
	}
	const missing = "NOT CHECKED with axe-core: run the test with .ci/with-node"
	if os.Getenv("CI") != "" {
		t.Fatal(missing, err)
	}
	t.Log(missing)
	return ""
}

// axeScript returns a text for each violation of rules in the page; of all rules if the list is empty.
const axeScript = `(rules => axe.run(document, {resultTypes: ["violations"], ...(rules.length && {runOnly: rules})}))(%s).then(found => JSON.stringify(found.violations.map(v =>
	v.id + ": " + v.help + " " + v.nodes.slice(0, 3).map(n => n.html.slice(0, 160) + " " + n.any.map(c => c.message).join(" ")).join(" | "))))`

// Rules for a page: all, or those of colours after all rules were checked in the same width.
const (
	allRules    = "[]"
	colourRules = `["color-contrast", "link-in-text-block"]`
)

// runAxe checks the page with axe-core.
func (b *browser) runAxe(name, rules string) {
	b.t.Helper()
	if b.axe == "" {
		return // readAxe has logged it
	}
	var ok bool
	b.do(chromedp.Evaluate(`"axe" in window`, &ok))
	if !ok {
		b.do(chromedp.Evaluate(b.axe, nil))
	}
	var found string
	var violations []string
	b.do(chromedp.Evaluate(fmt.Sprintf(axeScript, rules), &found, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	if err := json.Unmarshal([]byte(found), &violations); err != nil {
		b.t.Fatal(err)
	}
	for _, violation := range violations {
		b.t.Errorf("%s: violation = %s, want none", name, violation)
	}
}
