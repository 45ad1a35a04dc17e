// Command deploy-check examines the files that a site is set up with, without a
// cluster, an engine or a registry: it loads the compose file as Docker Compose
// does, builds every kustomization, decodes and validates every object with the
// API server's own code, and holds both to the rules of this house and to the
// variables that the program really has.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: deploy-check FOLDER, in the top folder of the repository")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(os.Args[1], "passes: compose file, kustomizations, and the program's own check of their settings")
}

func run(ctx context.Context, folder string) error {
	scratch, err := os.MkdirTemp("", "deploy-check")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	program, err := buildProgram(ctx, ".", scratch)
	if err != nil {
		return err
	}
	return errors.Join(check(ctx, folder, program)...)
}

// check gives all faults of a folder.
func check(ctx context.Context, folder string, program program) []error {
	r := &report{}
	program.checkNames(r, folder)
	checkCompose(ctx, r, filepath.Join(folder, "compose.yaml"), program)
	checkKubernetes(ctx, r, filepath.Join(folder, "kubernetes"), program)
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

func buildProgram(ctx context.Context, top, folder string) (program, error) {
	path := filepath.Join(folder, "receiver")
	build := exec.CommandContext(ctx, "go", "build", "-o", path, "./cmd/receiver")
	build.Dir = top
	if output, err := build.CombinedOutput(); err != nil {
		return program{}, fmt.Errorf("build the receiver: %w\n%s", err, output)
	}
	return newProgram(ctx, path)
}
