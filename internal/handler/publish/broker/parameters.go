package broker

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Parameters are the query parameters of a URL. A broker reads those that it supports and calls Err at the end.
type Parameters struct {
	values url.Values
	known  []string
	fault  *ParameterError // the first one
}

// ParameterError reports a parameter with an invalid value, or an unknown one.
type ParameterError struct {
	Name string // "" for an unknown name that could be part of a password
	text string
}

// Error returns a text that follows the name of the variable.
func (e *ParameterError) Error() string { return e.text }

// Has reports whether a parameter is set.
func (p *Parameters) Has(name string) bool { return p.values.Has(name) }

// Text returns a parameter, and "" if it is not set.
func (p *Parameters) Text(name string) string {
	p.known = append(p.known, name)
	values := p.values[name]
	switch {
	case len(values) == 0:
		return ""
	case len(values) > 1:
		p.Fault(name, "is set twice")
	case values[0] == "":
		p.Fault(name, "is empty")
	}
	return values[0]
}

// Choice returns a parameter that is one of choices, and the first of them if it is not set.
func (p *Parameters) Choice(name string, choices ...string) string {
	value := p.Text(name)
	if value == "" {
		return choices[0]
	}
	if !slices.Contains(choices, value) {
		p.Fault(name, "is none of "+strings.Join(choices, ", "))
	}
	return value
}

// Flag returns a parameter that is true or false, and false if it is not set.
func (p *Parameters) Flag(name string) bool {
	return p.Choice(name, "false", "true") == "true"
}

// Number returns a parameter from low to high, and otherwise if it is not set.
func (p *Parameters) Number(name string, low, high, otherwise int) int {
	value := p.Text(name)
	if value == "" {
		return otherwise
	}
	number, err := strconv.Atoi(value)
	if err != nil || number < low || number > high {
		p.Fault(name, fmt.Sprintf("is not a number from %d to %d", low, high))
	}
	return number
}

// Fault records what is wrong with a parameter. The first fault counts.
func (p *Parameters) Fault(name, text string) {
	if p.fault == nil {
		p.fault = &ParameterError{Name: name, text: fmt.Sprintf("has the parameter %s, which %s", name, text)}
	}
}

// Err returns the first fault. A parameter that was not read is one. The text follows the name of the variable.
func (p *Parameters) Err() error {
	if p.fault != nil {
		return p.fault
	}
	for _, name := range slices.Sorted(maps.Keys(p.values)) {
		if !slices.Contains(p.known, name) {
			unknown := printable(name)
			return &ParameterError{Name: unknown, text: fmt.Sprintf("has an unknown parameter %q; supported are %s", unknown, strings.Join(p.known, ", "))}
		}
	}
	return nil
}

// printable returns a name that looks like that of a parameter, and "" for any other: it could be part of a password.
func printable(name string) string {
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return ""
	}
	return name
}
