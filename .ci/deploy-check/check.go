// Package deploycheck examines the files that a site is set up with, without a
// cluster, an engine or a registry: it loads the compose file as Docker Compose
// does, builds every kustomization, decodes and validates every object with the
// API server's own code, and holds both to the rules of this house and to the
// variables that the program really has. Its test is the check.
package deploycheck

import (
	"context"
	"fmt"
	"path/filepath"
)

// check gives all faults of a folder.
func check(ctx context.Context, folder string, receiver program) []error {
	r := &report{}
	receiver.checkNames(r, folder)
	checkCompose(ctx, r, filepath.Join(folder, "compose.yaml"), receiver)
	checkKubernetes(ctx, r, filepath.Join(folder, "kubernetes"), receiver)
	return r.faults
}

// report collects faults.
type report struct{ faults []error }

// add notes a fault of what where names.
func (r *report) add(where, format string, arguments ...any) {
	r.faults = append(r.faults, fmt.Errorf("%s: "+format, append([]any{where}, arguments...)...))
}

// require notes a fault unless the condition holds.
func (r *report) require(holds bool, where, format string, arguments ...any) {
	if !holds {
		r.add(where, format, arguments...)
	}
}
