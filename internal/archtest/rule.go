package archtest

import (
	"fmt"
	"slices"
	"strings"
)

// Rule forbids imports. Packages are named as the go command does: ./internal/event
// is a package of the module, ./internal/... it and all below, github.com/x/y/...
// a package of others and all below, ... everything; std is the standard library.
type Rule struct {
	Says    string   // the rule in one clause
	Of      []string // packages it binds
	Except  []string // exceptions to Of
	Forbid  []string // imports that are forbidden
	Allow   []string // exceptions to Forbid
	Deep    bool     // also counts imports through other packages of the module
	OneFile bool     // one file of each package may have the imports
}

// Check returns one sentence for each import that breaks a rule, in a stable order.
func Check(packages []Package, rules []Rule) []string {
	var broken []string
	for _, rule := range rules {
		for _, bound := range packages {
			if matchAny(rule.Of, bound.Path) && !matchAny(rule.Except, bound.Path) {
				broken = append(broken, rule.check(bound, packages)...)
			}
		}
	}
	slices.Sort(broken)
	return slices.Compact(broken)
}

func (r Rule) check(bound Package, packages []Package) []string {
	var broken []string
	first := "" // file that has the imports, if one may
	for _, at := range r.reach(bound, packages) {
		for _, imported := range at.Imports {
			if !matchAny(r.Forbid, imported.Path) || matchAny(r.Allow, imported.Path) {
				continue
			}
			if r.OneFile && (first == "" || first == imported.File) {
				first = imported.File
				continue
			}
			sentence := fmt.Sprintf("%s/%s imports %s", at.Path, imported.File, imported.Path)
			if at.Path != bound.Path {
				sentence = fmt.Sprintf("%s reaches it: %s", bound.Path, sentence)
			}
			broken = append(broken, sentence+": "+r.Says)
		}
	}
	return broken
}

// reach returns the packages whose imports count for the bound one.
func (r Rule) reach(bound Package, packages []Package) []Package {
	reached := []Package{bound}
	for i := 0; r.Deep && i < len(reached); i++ {
		for _, imported := range reached[i].Imports {
			at := byPath(packages, imported.Path)
			if at >= 0 && byPath(reached, imported.Path) < 0 {
				reached = append(reached, packages[at])
			}
		}
	}
	return reached
}

func byPath(packages []Package, path string) int {
	return slices.IndexFunc(packages, func(p Package) bool { return p.Path == path })
}

func matchAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return match(pattern, path) })
}

func match(pattern, path string) bool {
	if pattern == "..." {
		return true
	}
	if pattern == "std" {
		first, _, _ := strings.Cut(path, "/")
		return !strings.Contains(first, ".")
	}
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == tree || strings.HasPrefix(path, tree+"/")
	}
	return path == pattern
}
