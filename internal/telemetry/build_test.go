package telemetry_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/telemetry"
)

func TestCurrentLeavesNothingEmpty(t *testing.T) {
	t.Parallel()
	info := telemetry.CurrentBuild()
	for name, text := range map[string]string{
		"version": info.Version, "commit": info.Commit, "date": info.Date, "go": info.Go, "platform": info.Platform,
	} {
		if text == "" {
			t.Errorf("%s = \"\", want a value", name)
		}
	}
	if want := runtime.GOOS + "/" + runtime.GOARCH; info.Platform != want {
		t.Errorf("platform is %q, want %q", info.Platform, want)
	}
}

// The linker takes a misspelt variable without a word, so only a real build shows that the names are right.
func TestLinkerSetsBuild(t *testing.T) {
	t.Parallel()
	const prefix = "-X github.com/deepimage-receiver/receiver/internal/telemetry."
	binary := filepath.Join(t.TempDir(), "show")
	ldflags := strings.Join([]string{prefix + "version=9.8.7", prefix + "commit=c0ffee", prefix + "date=2026-01-02T03:04:05Z"}, " ")
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags", ldflags, "-o", binary, "./testdata/show")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: error = %v, want none\n%s", err, output)
	}
	output, err := exec.CommandContext(t.Context(), binary).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(output), "9.8.7 c0ffee 2026-01-02T03:04:05Z\n"; got != want {
		t.Errorf("built program says %q, want %q", got, want)
	}
}
