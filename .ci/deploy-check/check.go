// Package deploycheck checks the Dockerfile and the deployment files without a
// cluster, an engine or a registry. It loads the compose file with the loader of
// Docker Compose, builds every kustomization, validates every object with the
// code of the API server, and compares both with the rules of this project and
// with the variables of the program. Its test is the check.
package deploycheck

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// check returns all faults of a folder.
func check(ctx context.Context, folder string, receiver program) []error {
	r := &report{}
	receiver.checkNames(r, folder)
	checkCompose(ctx, r, filepath.Join(folder, "compose.yaml"), receiver)
	checkKubernetes(ctx, r, filepath.Join(folder, "kubernetes"), receiver)
	return r.faults
}

// report collects faults.
type report struct{ faults []error }

// add records a fault at a place.
func (r *report) add(where, format string, arguments ...any) {
	r.faults = append(r.faults, fmt.Errorf("%s: "+format, append([]any{where}, arguments...)...))
}

// require records a fault unless the condition holds.
func (r *report) require(holds bool, where, format string, arguments ...any) {
	if !holds {
		r.add(where, format, arguments...)
	}
}

// isPinned reports whether an image reference names one version: a digest, or a tag
// that begins with a number, unlike latest or edge.
func isPinned(image string) bool {
	if strings.Contains(image, "@sha256:") {
		return true
	}
	_, tag, ok := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	tag = strings.TrimPrefix(tag, "v")
	return ok && tag != "" && tag[0] >= '0' && tag[0] <= '9'
}
