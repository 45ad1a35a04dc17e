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

// What the tests tell the build about itself.
const (
	imageVersion = "9.8.7"
	imageCommit  = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00"
	imageDate    = "2026-01-02T03:04:05Z"
)

// The image cannot be built without an engine, but what it holds can: this runs
// the Dockerfile's own build command, with another folder for the result.
func TestImageHoldsStaticStrippedBinaryThatKnowsItsVersion(t *testing.T) {
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
			t.Errorf("receiver version says %q, want %s in it", output, want)
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
			t.Errorf("the binary is not static: it has a %v", program.Type)
		}
	}
	for _, section := range file.Sections {
		if section.Type == elf.SHT_SYMTAB || strings.Contains(section.Name, "debug_") {
			t.Errorf("the binary is not stripped: it has a section %s", section.Name)
		}
	}
}

func TestMakefileBuildsWhatDockerfileBuilds(t *testing.T) {
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
		t.Errorf("make build gives go    %q\nthe Dockerfile gives it %q", made, shipped)
	}
}

func lineWith(t *testing.T, text, part string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return line
		}
	}
	t.Fatalf("%q has no line with %q", text, part)
	return ""
}

// buildArguments gives what a build command hands to the go command, except for
// the name of the result.
func buildArguments(t *testing.T, command string, environment ...string) []string {
	t.Helper()
	const spy = `go() { echo "CGO_ENABLED=$CGO_ENABLED" "$@"; }; `
	words := strings.Fields(shell(t, spy+command, environment...))
	at := slices.Index(words, "-o")
	if at < 0 || at+2 > len(words) {
		t.Fatalf("%q does not say where the result goes", words)
	}
	return slices.Delete(words, at, at+2)
}

// dockerfileBuild is the shell command by which the Dockerfile builds the binary.
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
	t.Fatal("the Dockerfile has no RUN with go build")
	return ""
}

// imageEnvironment is what the build stage's ENV and the builder's arguments say.
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

// dockerfile gives the instructions, each on one line.
func dockerfile(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.ReplaceAll(string(text), "\\\n", ""), "\n")
}

// shell runs a command at the top of the repository and gives what it prints.
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
