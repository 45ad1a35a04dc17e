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
	exitWrong  = 2 // usage or configuration
)

// startedError is the error of a command that cobra found fit to run.
type startedError struct{ err error }

func (e *startedError) Error() string { return e.err.Error() }

func (e *startedError) Unwrap() error { return e.err }

// usageError is a wrong command line that only the command itself could see.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func wrongUsage(format string, values ...any) error {
	return &usageError{fmt.Sprintf(format, values...)}
}

// report prints the error of a command and gives the exit code.
func report(w io.Writer, command string, err error) int {
	var started *startedError
	var usage *usageError
	var input *adminclient.InputError
	var faults *config.Faults
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &faults):
		printFaults(w, faults)
		return exitWrong
	case errors.As(err, &usage), errors.As(err, &input), !errors.As(err, &started):
		printTo(w, "receiver: %s\nSee \"%s --help\".\n", strings.TrimSpace(err.Error()), command)
		return exitWrong
	case errors.Is(err, context.Canceled):
		printTo(w, "receiver: stopped before it was done\n")
		return exitFailed
	default:
		printTo(w, "receiver: %s\n", strings.TrimSpace(err.Error()))
		return exitFailed
	}
}

func printFaults(w io.Writer, faults *config.Faults) {
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

// printTo writes for a person. If nobody can be told, there is nobody to tell that either.
func printTo(w io.Writer, format string, values ...any) {
	_, _ = fmt.Fprintf(w, format, values...)
}
