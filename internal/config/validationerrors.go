package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
)

// ValidationError is an error in one variable.
type ValidationError struct {
	Variable string // full name
	Text     string // continues a sentence that begins with the name; never holds the value of a secret
}

// String returns the sentence.
func (e ValidationError) String() string { return e.Variable + " " + e.Text }

// ValidationErrors are all errors in the environment.
type ValidationErrors struct{ list []ValidationError }

// Error returns one sentence per line.
func (e *ValidationErrors) Error() string {
	lines := make([]string, len(e.list))
	for i, one := range e.list {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// All returns the errors: first those of known variables in the order of the table, then the unknown names.
func (e *ValidationErrors) All() []ValidationError { return e.list }

// Of reports whether one of the variables with these full names has an error.
func (e *ValidationErrors) Of(names ...string) bool {
	for _, one := range e.list {
		if slices.Contains(names, one.Variable) {
			return true
		}
	}
	return false
}

func (e *ValidationErrors) add(variable, format string, values ...any) {
	e.list = append(e.list, ValidationError{Variable: variable, Text: fmt.Sprintf(format, values...)})
}

// addConflict adds the error of a section's Validate method, if each of its variables is valid by itself.
func (e *ValidationErrors) addConflict(prefix string, section reflect.Value) {
	validator, ok := reflect.TypeAssert[interface{ Validate() error }](section.Addr())
	if !ok || e.Of(namesOf(variablesOf(prefix, section))...) {
		return
	}
	err := validator.Validate()
	var conflict *configtypes.Conflict
	switch {
	case errors.As(err, &conflict):
		e.add(prefix+conflict.Name, "%s", conflict.Text)
	case err != nil:
		e.add(prefix+"*", "contradict each other: %s", err)
	}
}
