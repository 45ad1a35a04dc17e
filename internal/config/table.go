package config

import (
	"net/url"
	"os"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/secret"
)

// Source says where the value of a variable comes from.
type Source string

// Every source.
const (
	SourceNone    Source = "none"    // it has neither a value nor a default
	SourceDefault Source = "default" // it is not set
	SourceSet     Source = "set"     // the environment holds it
	SourceFile    Source = "file"    // the environment names the file that holds it
	SourcePort    Source = "PORT"    // the platform gave the port to listen on
)

// Variable describes one variable and what is in force.
type Variable struct {
	Name    string `json:"name"`
	Default string `json:"default,omitempty"` // as it would be written
	Unset   string `json:"unset,omitempty"`   // for one without a default: what is done when it is not set
	Range   string `json:"range,omitempty"`   // the values it takes, if they are bounded
	Meaning string `json:"meaning"`
	Secret  bool   `json:"secret"`          // its value is never shown; it can be given as a file
	Value   string `json:"value,omitempty"` // as written, right or wrong; a placeholder for a secret
	Source  Source `json:"source"`
}

// Table describes every variable, those of handlers that are not enabled included.
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
		row.Meaning += "; when it is not set, " + portVariable + " may say the port"
	}
	row.Value, row.Source = v.inForce()
	if row.Secret && row.Value != "" {
		row.Value = secret.Placeholder
	}
	return row
}

// inForce looks the value up as it is written. It is not for showing yet.
func (v variable) inForce() (string, Source) {
	if value, set := os.LookupEnv(v.name); set {
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

// withoutPassword hides the password in the value of a variable that is a URL.
func withoutPassword(value string) string {
	if u, err := url.Parse(value); err == nil && u.User != nil {
		return u.Redacted()
	}
	return value
}

// Markdown writes the table for a manual: nothing of the environment is in it.
func Markdown(table []Variable) string {
	var out strings.Builder
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

// cell keeps a text within its cell of a Markdown table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(text)
}
