package config

import (
	"os"
	"reflect"
	"regexp"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/secret"
)

// fileSuffix is appended to the name of a secret for the variable that holds the path of its file.
const fileSuffix = "_FILE"

// variable is one field of a configuration struct with its tags.
type variable struct {
	name  string        // full
	field reflect.Value // receives the value
	tag   reflect.StructTag
}

// variablesOf returns the variables of a configuration struct and of its sections.
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

// isSecret reports that the value is never shown and can be given as a file.
func (v variable) isSecret() bool {
	switch v.field.Interface().(type) {
	case secret.Value, secret.List:
		return true
	default:
		return false
	}
}

// itemStart returns the pattern with which each item of a list begins whose items may contain commas; nil for other variables.
func (v variable) itemStart() *regexp.Regexp {
	if pattern := v.tag.Get("item"); pattern != "" {
		return regexp.MustCompile("^(?:" + pattern + ")")
	}
	return nil
}

// names returns the names under which the variable can be set.
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

// read sets the variables from the environment.
func read(variables []variable, errs *ValidationErrors) {
	for _, v := range variables {
		if name, fault := v.read(); fault != "" {
			errs.add(name, "%s", fault)
		}
	}
}

// refusesEmpty reports that an empty value is an error: a secret or an allow-list that got lost must stop the start. An
// empty value of any other variable means that it is not set.
func (v variable) refusesEmpty() bool { return v.isSecret() || v.tag.Get("empty") == "refused" }

// lookup returns the value of the variable in the environment. It is not set if it is empty and may be so.
func (v variable) lookup() (value string, set bool) {
	value, set = os.LookupEnv(v.name)
	return value, set && (v.refusesEmpty() || strings.TrimSpace(value) != "")
}

// read sets the variable and returns its error, with the name of the variable that has it.
func (v variable) read() (name, fault string) {
	fromFile := v.name + fileSuffix
	value, set := v.lookup()
	path, inFile := os.LookupEnv(fromFile)
	inFile = inFile && v.isSecret()
	switch {
	case set && inFile:
		return v.name, "and " + fromFile + " are both set; keep one of them"
	case set && strings.TrimSpace(value) == "":
		return v.name, "is set but empty; give it a value or do not set it"
	case inFile:
		return fromFile, v.readFile(path)
	case !set:
		return v.name, v.setDefault()
	case isQuoted(value):
		return v.name, quotedText
	default:
		return v.name, v.decode()
	}
}

const quotedText = "is in quotation marks, which would be part of the value; remove them"

// isQuoted reports whether a value is in matching quotation marks, as tools leave them that do not interpret them.
func isQuoted(value string) bool {
	value = strings.TrimSpace(value)
	return len(value) > 1 && strings.ContainsRune(`"'`, rune(value[0])) && value[0] == value[len(value)-1]
}
