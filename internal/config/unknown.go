package config

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/handler"
)

// knownNames returns all names that may be set, also those of handlers that are not enabled.
func knownNames(definitions []handler.Definition) []string {
	return namesOf(allVariables(definitions))
}

// allVariables returns every variable, with zero values.
func allVariables(definitions []handler.Definition) []variable {
	list := variablesOf(prefix, reflect.ValueOf(new(Config)).Elem())
	for _, d := range definitions {
		list = append(list, variablesOf(handlerPrefix(d.Name), reflect.ValueOf(d.NewConfig()).Elem())...)
	}
	return list
}

// addUnknown adds an error for every unknown variable with our prefix. It is most likely a typing error, and its setting
// would be ignored silently.
func (e *ValidationErrors) addUnknown(known []string) {
	environment := os.Environ()
	slices.Sort(environment)
	for _, assignment := range environment {
		name, _, _ := strings.Cut(assignment, "=")
		if strings.HasPrefix(name, prefix) && !slices.Contains(known, name) && !serviceLink.MatchString(assignment) {
			e.add(printable(name), "is not a variable of this version%s", hint(name, known))
		}
	}
}

// hint returns the variable that was probably meant.
func hint(name string, known []string) string {
	if secretless, ok := strings.CutSuffix(name, fileSuffix); ok && slices.Contains(known, secretless) {
		return "; " + secretless + " is not a secret and cannot be given as a file"
	}
	nearest, distance := "", 1+len(name)/4
	for _, candidate := range known {
		beginning := candidate[:min(len(candidate), len(name))]
		d := min(editDistance(name, candidate), editDistance(name, beginning)+1) // a whole word may be missing at the end
		if d < distance {
			nearest, distance = candidate, d
		}
	}
	if nearest == "" {
		return ""
	}
	return "; did you mean " + nearest + "?"
}

// serviceLink matches the variables that Kubernetes adds to every container for each service: one called "receiver"
// makes RECEIVER_PORT=tcp://10.0.0.1:8080 and more.
var serviceLink = regexp.MustCompile(`^RECEIVER(_\w+)?_(` +
	`SERVICE_HOST=[0-9a-f.:]+|` +
	`SERVICE_PORT(_\w+)?=\d+|` +
	`PORT(_\d+_(TCP|UDP|SCTP))?=(tcp|udp|sctp)://.+|` +
	`PORT_\d+_(TCP|UDP|SCTP)_(PROTO=(tcp|udp|sctp)|PORT=\d+|ADDR=[0-9a-f.:]+))$`)

// printable returns a name that is harmless to a terminal.
func printable(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}

// editDistance returns the number of bytes to insert, delete or change to turn one text into the other.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
