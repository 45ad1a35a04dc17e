package archtest_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Build arguments of the tests.
const (
	imageVersion = "9.8.7"
	imageCommit  = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00"
	imageDate    = "2026-01-02T03:04:05Z"
)

// TestDockerfileBuildsStaticStrippedBinary runs the build command of the
// Dockerfile without a container engine.
func TestDockerfileBuildsStaticStrippedBinary(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	command := strings.ReplaceAll(dockerfileBuild(t), "/out/", folder+"/")
	shell(t, command, imageEnvironment(t)...)
	binary := filepath.Join(folder, "receiver")
	checkStaticAndStripped(t, binary)
	if runtime.GOOS != "linux" {
		t.Skip("the image's binary is for Linux and cannot be started here")
	}
	output, err := exec.CommandContext(t.Context(), binary, "version").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{imageVersion, imageCommit, imageDate} {
		if !strings.Contains(string(output), want) {
			t.Errorf("receiver version = %q, want %s in it", output, want)
		}
	}
}

func checkStaticAndStripped(t *testing.T, binary string) {
	t.Helper()
	file, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, program := range file.Progs {
		if program.Type == elf.PT_INTERP || program.Type == elf.PT_DYNAMIC {
			t.Errorf("binary has a program header %v, want a static binary", program.Type)
		}
	}
	for _, section := range file.Sections {
		if section.Type == elf.SHT_SYMTAB || strings.Contains(section.Name, "debug_") {
			t.Errorf("binary has a section %s, want a stripped binary", section.Name)
		}
	}
}

func TestMakefileAndDockerfileBuildAlike(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("make is not installed")
	}
	dryRun := exec.CommandContext(t.Context(), "make", "--dry-run", "--no-print-directory", "build",
		"VERSION="+imageVersion, "COMMIT="+imageCommit, "DATE="+imageDate)
	dryRun.Dir = root
	output, err := dryRun.Output()
	if err != nil {
		t.Fatal(err)
	}
	made := buildArguments(t, lineWith(t, string(output), "go build"))
	shipped := buildArguments(t, dockerfileBuild(t), imageEnvironment(t)...)
	if !slices.Equal(made, shipped) {
		t.Errorf("go arguments of make build = %q\nwant those of the Dockerfile %q", made, shipped)
	}
}

func lineWith(t *testing.T, text, part string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return line
		}
	}
	t.Fatalf("output = %q, want a line with %q", text, part)
	return ""
}

// buildArguments returns the arguments that a shell command passes to go, without
// the name of the output.
func buildArguments(t *testing.T, command string, environment ...string) []string {
	t.Helper()
	const spy = `go() { echo "CGO_ENABLED=$CGO_ENABLED" "$@"; }; `
	words := strings.Fields(shell(t, spy+command, environment...))
	at := slices.Index(words, "-o")
	if at < 0 || at+2 > len(words) {
		t.Fatalf("go arguments = %q, want -o among them", words)
	}
	return slices.Delete(words, at, at+2)
}

// dockerfileBuild returns the shell command that builds the binary in the Dockerfile.
func dockerfileBuild(t *testing.T) string {
	t.Helper()
	for _, instruction := range dockerfile(t) {
		rest, run := strings.CutPrefix(instruction, "RUN ")
		if !run || !strings.Contains(rest, "go build") {
			continue
		}
		words := strings.Fields(rest)
		return strings.Join(slices.DeleteFunc(words, func(word string) bool { return strings.HasPrefix(word, "--mount=") }), " ")
	}
	t.Fatal("Dockerfile has no RUN with go build, want one")
	return ""
}

// imageEnvironment returns the ENV of the build stage and the build arguments.
func imageEnvironment(t *testing.T) []string {
	t.Helper()
	environment := []string{
		"TARGETOS=linux", "TARGETARCH=" + runtime.GOARCH,
		"VERSION=" + imageVersion, "COMMIT=" + imageCommit, "DATE=" + imageDate,
	}
	for _, instruction := range dockerfile(t) {
		if rest, found := strings.CutPrefix(instruction, "ENV "); found {
			environment = append(environment, strings.Fields(rest)...)
		}
	}
	return environment
}

// dockerfile returns the instructions, each on one line.
func dockerfile(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.ReplaceAll(string(text), "\\\n", ""), "\n")
}

// shell runs a command at the top of the repository and returns its output.
func shell(t *testing.T, command string, environment ...string) string {
	t.Helper()
	run := exec.CommandContext(t.Context(), "sh", "-ec", command)
	run.Dir = root
	run.Env = append(os.Environ(), environment...)
	output, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, output)
	}
	return string(output)
}
