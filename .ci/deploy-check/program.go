package deploycheck

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const (
	prefix     = "RECEIVER_"
	fileSuffix = "_FILE"
	// closing is the time that the program may need beyond its shutdown timeout.
	closing = 2 * time.Second
)

// variableName matches a variable of the receiver, also in a comment.
var variableName = regexp.MustCompile(`\bRECEIVER_[A-Z0-9_]*[A-Z0-9]\b`)

// program is the built receiver and its variables.
type program struct {
	path      string
	variables map[string]variable
}

// variable is a row of what "receiver env --json" prints.
type variable struct {
	Name, Default string
	Secret        bool
}

// buildProgram builds the receiver of the repository at top into a folder.
func buildProgram(ctx context.Context, top, folder string) (program, error) {
	path := filepath.Join(folder, "receiver")
	build := exec.CommandContext(ctx, "go", "build", "-o", path, "./cmd/receiver")
	build.Dir = top
	if output, err := build.CombinedOutput(); err != nil {
		return program{}, fmt.Errorf("build the receiver: %w\n%s", err, output)
	}
	return newProgram(ctx, path)
}

func newProgram(ctx context.Context, path string) (program, error) {
	output, err := receiverEnv(ctx, path).Output()
	if err != nil {
		return program{}, fmt.Errorf("receiver env: %w", err)
	}
	var rows []variable
	if err := json.Unmarshal(output, &rows); err != nil {
		return program{}, fmt.Errorf("receiver env: %w", err)
	}
	p := program{path: path, variables: map[string]variable{}}
	for _, row := range rows {
		p.variables[row.Name] = row
	}
	return p, nil
}

// receiverEnv prints the table of variables with this environment alone.
func receiverEnv(ctx context.Context, path string, environment ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, path, "env", "--json")
	command.Env = append([]string{}, environment...) // nil would pass our own
	return command
}

// checkNames reports variables that the program does not have, also in comments.
func (p program) checkNames(r *report, folder string) {
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i, line := range strings.Split(string(text), "\n") {
			for _, name := range variableName.FindAllString(line, -1) {
				r.require(p.has(name), fmt.Sprintf("%s:%d", path, i+1), "%s is not a variable of the receiver", name)
			}
		}
		return nil
	})
	if err != nil {
		r.add(folder, "%v", err)
	}
}

func (p program) has(name string) bool {
	if _, ok := p.variables[name]; ok {
		return true
	}
	inFile, ok := strings.CutSuffix(name, fileSuffix)
	return ok && p.variables[inFile].Secret
}

// accepts runs the program with the settings, without those in files.
func (p program) accepts(ctx context.Context, r *report, where string, settings map[string]string) {
	var environment []string
	for name, value := range settings {
		if strings.HasPrefix(name, prefix) && !strings.HasSuffix(name, fileSuffix) {
			environment = append(environment, name+"="+value)
		}
	}
	var faults strings.Builder
	command := receiverEnv(ctx, p.path, environment...)
	command.Stderr = &faults
	if err := command.Run(); err != nil {
		r.add(where, "the receiver refuses its settings: %v\n%s", err, faults.String())
	}
}

// value returns a setting or its default.
func (p program) value(settings map[string]string, name string) string {
	if value, ok := settings[name]; ok {
		return value
	}
	return p.variables[name].Default
}

// shutdownDelay is the variable with the time for which a receiver still accepts callbacks after
// its signal.
const shutdownDelay = prefix + "SHUTDOWN_DELAY"

// checkStop checks that a receiver is not killed while it stops.
func (p program) checkStop(r *report, where string, settings map[string]string, grace time.Duration) {
	name := prefix + "SHUTDOWN_TIMEOUT"
	timeout, err := time.ParseDuration(p.value(settings, name))
	if err != nil {
		r.add(where, "%s: %v", name, err)
		return
	}
	delay, err := time.ParseDuration(p.value(settings, shutdownDelay))
	if err != nil {
		r.add(where, "%s: %v", shutdownDelay, err)
		return
	}
	r.require(grace > delay+timeout+closing, where,
		"is killed after %v, though it may take %v (%s), %v (%s) and %v to stop", grace, delay, shutdownDelay, timeout, name, closing)
}

// checkStores checks that a receiver that can be replaced keeps nothing beside its stores.
func (p program) checkStores(r *report, where string, settings map[string]string) {
	_, plain := settings[prefix+"DATABASE_URL"]
	_, inFile := settings[prefix+"DATABASE_URL"+fileSuffix]
	r.require(plain || inFile, where, "is one of several replicas, and no %sDATABASE_URL says where they keep events together", prefix)
	bucket := settings[prefix+"DOWNLOAD_BUCKET_URL"]
	r.require(bucket != "" && !strings.HasPrefix(bucket, "file:"), where, "is one of several replicas, and keeps images in a folder of its own")
	for name := range settings {
		r.require(!p.variables[name].Secret, where, "%s is a secret: give it as a file", name)
	}
}
