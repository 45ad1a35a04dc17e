package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/loadtest"
	"go.uber.org/goleak"
)

// receiver is the program, built for the tests.
var receiver string

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "loadtest-test-")
	if err == nil {
		receiver = filepath.Join(folder, "receiver")
		command := exec.CommandContext(context.Background(), "go", "build", "-o", receiver, "../receiver")
		command.Env, command.Stderr = append(os.Environ(), "CGO_ENABLED=0"), os.Stderr
		err = command.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) // there is nothing to test
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(folder)
		os.Exit(code) // goleak does not exit itself
	}))
}

// TestLoad runs short loads against the real program.
func TestLoad(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ arguments []string }{
		"steady":  {[]string{"-rate", "50", "-duration", "2s", "-body", "4096"}},
		"history": {[]string{"-scenario", "history", "-rate", "20", "-duration", "1s", "-history", "1000"}},
		"small":   {[]string{"-scenario", "small", "-rate", "10", "-duration", "1s"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, errOut bytes.Buffer
			code := run(t.Context(), append(row.arguments, "-timeout", "2m", "-json", "-binary", receiver, "-dir", t.TempDir()), &out, &errOut)
			var report loadtest.Report
			if err := json.Unmarshal(out.Bytes(), &report); err != nil || code != exitDone {
				t.Fatalf("exit code = %d, report error %v, want %d and JSON\n%s%s", code, err, exitDone, out.String(), errOut.String())
			}
			want := int(report.Scenario.Rate * report.Scenario.Duration.Seconds())
			if f := report.Comparison; f.Acknowledged != want || f.Right != want || !report.Perfect() {
				t.Errorf("comparison = %+v, want %d events acknowledged and right", f, want)
			}
			if s := report.Sending; s.Latency.P50 <= 0 || s.Latency.P99 < s.Latency.P50 || s.Rate <= 0 {
				t.Errorf("sending = %+v, want a rate and growing latencies", s)
			}
			if f := report.Figures; f.CPUPerEvent <= 0 || f.EventsPerSecond <= 0 || f.ImageBytes <= 0 {
				t.Errorf("figures = %+v, want costs", f)
			}
		})
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		arguments []string
		want      int
		out       string
	}{
		"list":             {arguments: []string{"-list"}, want: exitDone, out: "ramp"},
		"help":             {arguments: []string{"-help"}, want: exitDone},
		"unknown scenario": {arguments: []string{"-scenario", "x"}, want: exitUsage},
		"unknown flag":     {arguments: []string{"-x"}, want: exitUsage},
		"argument":         {arguments: []string{"steady"}, want: exitUsage},
		"too many events":  {arguments: []string{"-rate", "20000", "-duration", "1h"}, want: exitFailed},
		"no receiver":      {arguments: []string{"-binary", "/nowhere"}, want: exitFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, errOut bytes.Buffer
			if got := run(t.Context(), append(row.arguments, "-dir", t.TempDir()), &out, &errOut); got != row.want {
				t.Errorf("exit code = %d, want %d\n%s", got, row.want, errOut.String())
			}
			if !strings.Contains(out.String(), row.out) {
				t.Errorf("output = %q, want %q in it", out.String(), row.out)
			}
		})
	}
}
