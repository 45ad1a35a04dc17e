package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/adminclient"
	"github.com/deepimage-receiver/receiver/internal/config"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // wrong usage or configuration
)

// runError is an error of a command that accepted its command line.
type runError struct{ err error }

func (e *runError) Error() string { return e.err.Error() }

func (e *runError) Unwrap() error { return e.err }

// usageError is a wrong command line that only the command itself can detect.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func wrongUsage(format string, values ...any) error {
	return &usageError{fmt.Sprintf(format, values...)}
}

// exitCode prints the error of a command and returns the exit code.
func exitCode(w io.Writer, command string, err error) int {
	var run *runError
	var usage *usageError
	var input *adminclient.InputError
	var faults *config.ValidationErrors
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &faults):
		printFaults(w, faults)
		return exitUsage
	case errors.As(err, &usage), errors.As(err, &input), !errors.As(err, &run):
		printTo(w, "receiver: %s\nSee \"%s --help\".\n", strings.TrimSpace(err.Error()), command)
		return exitUsage
	case errors.Is(err, context.Canceled):
		printTo(w, "receiver: interrupted\n")
		return exitFailed
	default:
		printTo(w, "receiver: %s\n", strings.TrimSpace(err.Error()))
		return exitFailed
	}
}

func printFaults(w io.Writer, faults *config.ValidationErrors) {
	all := faults.All()
	noun := "faults"
	if len(all) == 1 {
		noun = "fault"
	}
	printTo(w, "receiver: the configuration has %d %s\n", len(all), noun)
	for _, fault := range all {
		printTo(w, "  %s\n", printable(fault.String()))
	}
	printTo(w, "\"receiver env\" lists every variable.\n")
}
