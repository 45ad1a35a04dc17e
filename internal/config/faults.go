package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
)

// Fault is what is wrong with one variable.
type Fault struct {
	Variable string // full name
	Text     string // goes on from the name to a sentence; never holds the value of a secret
}

// String gives the sentence.
func (f Fault) String() string { return f.Variable + " " + f.Text }

// Faults is everything that is wrong with the environment.
type Faults struct{ list []Fault }

// Error gives one sentence on each line.
func (f *Faults) Error() string {
	lines := make([]string, len(f.list))
	for i, fault := range f.list {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// All gives the faults: first those of known variables, in the order of the table, then the unknown names.
func (f *Faults) All() []Fault { return f.list }

// Of says whether one of the variables with these full names is at fault.
func (f *Faults) Of(names ...string) bool {
	for _, fault := range f.list {
		if slices.Contains(names, fault.Variable) {
			return true
		}
	}
	return false
}

func (f *Faults) add(variable, format string, values ...any) {
	f.list = append(f.list, Fault{Variable: variable, Text: fmt.Sprintf(format, values...)})
}

// addConflict asks a section whether its variables go together. It is asked only
// when each of them is right by itself.
func (f *Faults) addConflict(prefix string, section reflect.Value) {
	validator, ok := reflect.TypeAssert[interface{ Validate() error }](section.Addr())
	if !ok || f.Of(namesOf(variablesOf(prefix, section))...) {
		return
	}
	err := validator.Validate()
	var conflict *configtypes.Conflict
	switch {
	case errors.As(err, &conflict):
		f.add(prefix+conflict.Name, "%s", conflict.Text)
	case err != nil:
		f.add(prefix+"*", "do not go together: %s", err)
	}
}
