package config

import (
	"os"
	"reflect"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/secret"
)

// fileSuffix makes of the name of a secret the name of the variable that says in which file it is.
const fileSuffix = "_FILE"

// variable is one field of a configuration struct and what its tags say.
type variable struct {
	name  string        // full
	field reflect.Value // where the value goes
	tag   reflect.StructTag
}

// variablesOf lists the variables of a configuration struct, those of its sections included.
func variablesOf(prefix string, spec reflect.Value) []variable {
	var list []variable
	for i := range spec.NumField() {
		field := spec.Type().Field(i)
		if section, ok := field.Tag.Lookup("section"); ok {
			list = append(list, variablesOf(prefix+section, spec.Field(i))...)
			continue
		}
		if name := field.Tag.Get("envconfig"); name != "" && name != "-" {
			list = append(list, variable{name: prefix + name, field: spec.Field(i), tag: field.Tag})
		}
	}
	return list
}

// isSecret says that the value is never shown and may be given as a file.
func (v variable) isSecret() bool {
	switch v.field.Interface().(type) {
	case secret.Value, secret.List:
		return true
	default:
		return false
	}
}

// names are the names under which the variable can be set.
func (v variable) names() []string {
	if v.isSecret() {
		return []string{v.name, v.name + fileSuffix}
	}
	return []string{v.name}
}

func namesOf(variables []variable) []string {
	var names []string
	for _, v := range variables {
		names = append(names, v.names()...)
	}
	return names
}

// read fills the variables from the environment.
func read(variables []variable, faults *Faults) {
	for _, v := range variables {
		if name, fault := v.read(); fault != "" {
			faults.add(name, "%s", fault)
		}
	}
}

// read fills the variable. A fault is told with the name of the variable that has it.
// A variable that is set but empty is a fault, because nobody can know
// whether it was meant as "the default" or as "none", and a secret that got lost
// on its way must stop the start.
func (v variable) read() (name, fault string) {
	fromFile := v.name + fileSuffix
	value, set := os.LookupEnv(v.name)
	path, inFile := os.LookupEnv(fromFile)
	inFile = inFile && v.isSecret()
	switch {
	case set && inFile:
		return v.name, "and " + fromFile + " are both set; keep one of them"
	case set && strings.TrimSpace(value) == "":
		return v.name, "is set but empty; give it a value or do not set it"
	case inFile:
		return fromFile, v.readFile(path)
	default:
		return v.name, v.decode()
	}
}
