package config

import (
	"net/url"
	"os"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// Source is where the value of a variable comes from.
type Source string

// The sources.
const (
	SourceNone    Source = "none"    // neither a value nor a default
	SourceDefault Source = "default" // not set
	SourceSet     Source = "set"     // the environment
	SourceFile    Source = "file"    // a file that the environment names
	SourcePort    Source = "PORT"    // the platform's port
)

// Variable describes one variable and its value.
type Variable struct {
	Name    string `json:"name"`
	Default string `json:"default,omitempty"` // as written
	Unset   string `json:"unset,omitempty"`   // without a default: the meaning of a variable that is not set
	Range   string `json:"range,omitempty"`   // the valid values, if they are bounded
	Meaning string `json:"meaning"`
	Secret  bool   `json:"secret"`          // never shown; can be given as a file
	Value   string `json:"value,omitempty"` // as written, valid or not; a placeholder for a secret
	Source  Source `json:"source"`
}

// Table describes every variable, also those of handlers that are not enabled.
func Table(definitions []handler.Definition) []Variable {
	variables := allVariables(definitions)
	table := make([]Variable, 0, len(variables))
	for _, v := range variables {
		table = append(table, v.describe())
	}
	return table
}

func (v variable) describe() Variable {
	row := Variable{
		Name:    v.name,
		Default: v.tag.Get("default"),
		Unset:   v.tag.Get("unset"),
		Range:   v.bounds().String(),
		Meaning: v.tag.Get("desc"),
		Secret:  v.isSecret(),
	}
	if v.name == listenVariable {
		row.Meaning += "; if it is not set, " + portVariable + " is the port"
	}
	if v.refusesEmpty() && !row.Secret {
		row.Meaning += "; an empty value is an error"
	}
	row.Value, row.Source = v.inForce()
	if row.Secret && row.Value != "" {
		row.Value = secret.Placeholder
	}
	return row
}

// inForce returns the value as written, before secrets are redacted.
func (v variable) inForce() (string, Source) {
	if value, set := v.lookup(); set {
		return withoutPassword(value), SourceSet
	}
	if path, set := os.LookupEnv(v.name + fileSuffix); set && v.isSecret() {
		return path, SourceFile
	}
	if port := os.Getenv(portVariable); port != "" && v.name == listenVariable {
		return ":" + port, SourcePort
	}
	if value := v.tag.Get("default"); value != "" {
		return value, SourceDefault
	}
	return "", SourceNone
}

// withoutPassword redacts the password in a value that is a URL.
func withoutPassword(value string) string {
	if u, err := url.Parse(value); err == nil && u.User != nil {
		return u.Redacted()
	}
	return value
}

// Markdown returns the table for the manual. It does not depend on the environment.
func Markdown(table []Variable) string {
	var out strings.Builder
	out.WriteString("An empty value means that the variable is not set. For secrets and allow-lists it is an error.\n\n")
	out.WriteString("| variable | default | values | meaning |\n| --- | --- | --- | --- |\n")
	for _, row := range table {
		name := "`" + row.Name + "`"
		if row.Secret {
			name += " or `" + row.Name + fileSuffix + "`"
		}
		cells := []string{name, row.defaultCell(), cell(row.Range), cell(row.Meaning)}
		out.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	return out.String()
}

func (v Variable) defaultCell() string {
	switch {
	case v.Default != "":
		return "`" + cell(v.Default) + "`"
	case v.Unset != "":
		return cell(v.Unset)
	default:
		return "none"
	}
}

// cell escapes a text for a cell of a Markdown table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(text)
}
