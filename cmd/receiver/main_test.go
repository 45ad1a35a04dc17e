package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deepimage-receiver/receiver/internal/blobstore/blobstoretest"
	"github.com/deepimage-receiver/receiver/internal/database/databasetest"
	"go.uber.org/goleak"
)

// processTimeout bounds the wait for a process.
const processTimeout = time.Minute

var builtBinary string

// TestMain builds the program once; the tests run it as users do.
func TestMain(m *testing.M) {
	folder, err := build()
	databasetest.Prepare() // not before: programs may not run from there
	if err == nil {
		err = blobstoretest.SetS3Credentials()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) // there is no binary to test
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(folder)
		os.Exit(code) // goleak does not exit itself
	}))
}

func build() (folder string, err error) {
	folder, err = os.MkdirTemp("", "receiver-test-")
	if err != nil {
		return "", err
	}
	builtBinary = filepath.Join(folder, "receiver")
	command := exec.CommandContext(context.Background(), "go", "build", "-ldflags", "-s -w", "-o", builtBinary, ".")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", errors.Join(err, os.RemoveAll(folder)), output)
	}
	return folder, nil
}

// binary is the path of the program.
func binary(t *testing.T) string {
	t.Helper()
	return builtBinary
}

// result is the exit code and the output of a command.
type result struct {
	code           int
	stdout, stderr string
}

// receiver runs the program to its end: in an empty folder unless the call has one, and with the variables of the
// call only.
func receiver(t *testing.T, call call) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), processTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, binary(t), call.args...)
	command.Dir = call.folder
	if command.Dir == "" {
		command.Dir = t.TempDir()
	}
	command.Env = append([]string{"PATH=/nowhere"}, call.env...)
	command.Stdin = strings.NewReader(call.stdin)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{command.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// call is one run of the program.
type call struct {
	args   []string
	env    []string
	stdin  string
	folder string
}

// run is receiver without standard input, in an empty folder.
func run(t *testing.T, env []string, args ...string) result {
	t.Helper()
	return receiver(t, call{args: args, env: env})
}

// expect checks the exit code.
func (r result) expect(t *testing.T, code int) result {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit code = %d, want %d\nstdout: %s\nstderr: %s", r.code, code, r.stdout, r.stderr)
	}
	return r
}

// contains reports every part that is missing in text.
func contains(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s = %q, want %q in it", what, text, part)
		}
	}
}
