package broker

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Parameters are what stands behind the question mark of an address. A broker takes
// those that it knows, with or without a value, and asks Err at the end.
type Parameters struct {
	values url.Values
	known  []string
	fault  error
}

// Has says whether a parameter is there.
func (p *Parameters) Has(name string) bool { return p.values.Has(name) }

// Text takes a parameter, "" if it is not there.
func (p *Parameters) Text(name string) string {
	p.known = append(p.known, name)
	values := p.values[name]
	switch {
	case len(values) == 0:
		return ""
	case len(values) > 1:
		p.Fault(name, "is there twice")
	case values[0] == "":
		p.Fault(name, "is empty")
	}
	return values[0]
}

// Choice takes a parameter that is one of choices, or the first of them if it is not there.
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

// Flag takes a parameter that is true or false, false if it is not there.
func (p *Parameters) Flag(name string) bool {
	return p.Choice(name, "false", "true") == "true"
}

// Number takes a parameter from low to high, otherwise if it is not there.
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

// Fault says what is wrong with a parameter. The first fault counts.
func (p *Parameters) Fault(name, text string) {
	if p.fault == nil {
		p.fault = fmt.Errorf("has the parameter %s, which %s", name, text)
	}
}

// Err is the first fault; a parameter that was not taken is one. The error goes on from the name of a variable.
func (p *Parameters) Err() error {
	if p.fault != nil {
		return p.fault
	}
	for _, name := range slices.Sorted(maps.Keys(p.values)) {
		if !slices.Contains(p.known, name) {
			return fmt.Errorf("has a parameter%s that is not known here; there are %s", shown(name), strings.Join(p.known, ", "))
		}
	}
	return nil
}

// shown is a name that looks like one of a parameter. Anything else could be a piece of a password.
func shown(name string) string {
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return ""
	}
	return " " + name
}
