package api

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document is the specification as far as a page tells it. Its maps keep the order in which they are written.
type document struct {
	Info struct {
		Title       string `yaml:"title"`
		Summary     string `yaml:"summary"`
		Version     string `yaml:"version"`
		Description string `yaml:"description"`
	} `yaml:"info"`
	Tags       []tag                       `yaml:"tags"`
	Paths      ordered[ordered[operation]] `yaml:"paths"`
	Components struct {
		SecuritySchemes ordered[securityScheme] `yaml:"securitySchemes"`
		Parameters      ordered[parameter]      `yaml:"parameters"`
		Headers         ordered[header]         `yaml:"headers"`
		RequestBodies   ordered[body]           `yaml:"requestBodies"`
		Responses       ordered[body]           `yaml:"responses"`
		Schemas         ordered[*schema]        `yaml:"schemas"`
	} `yaml:"components"`
}

type tag struct {
	Name        string `yaml:"name"`
	Description string `yaml:"description"`
}

type operation struct {
	ID          string                `yaml:"operationId"`
	Tags        []string              `yaml:"tags"`
	Summary     string                `yaml:"summary"`
	Description string                `yaml:"description"`
	Security    []map[string][]string `yaml:"security"`
	Parameters  []parameter           `yaml:"parameters"`
	Body        *body                 `yaml:"requestBody"`
	Responses   ordered[body]         `yaml:"responses"`
}

type securityScheme struct {
	Description string `yaml:"description"`
}

type parameter struct {
	Ref         string  `yaml:"$ref"`
	Name        string  `yaml:"name"`
	In          string  `yaml:"in"`
	Required    bool    `yaml:"required"`
	Description string  `yaml:"description"`
	Schema      *schema `yaml:"schema"`
}

type header struct {
	Ref         string `yaml:"$ref"`
	Description string `yaml:"description"`
}

// body is what a request or an answer carries.
type body struct {
	Ref         string          `yaml:"$ref"`
	Description string          `yaml:"description"`
	Headers     ordered[header] `yaml:"headers"`
	Content     ordered[media]  `yaml:"content"`
}

type media struct {
	Schema   *schema          `yaml:"schema"`
	Example  yaml.Node        `yaml:"example"`
	Examples ordered[example] `yaml:"examples"`
}

type example struct {
	Summary string    `yaml:"summary"`
	Value   yaml.Node `yaml:"value"`
}

type schema struct {
	Ref         string           `yaml:"$ref"`
	Type        oneOrMany        `yaml:"type"`
	Format      string           `yaml:"format"`
	Description string           `yaml:"description"`
	Enum        []string         `yaml:"enum"`
	Const       *string          `yaml:"const"`
	Default     *string          `yaml:"default"`
	Minimum     *string          `yaml:"minimum"`
	Maximum     *string          `yaml:"maximum"`
	MaxLength   *string          `yaml:"maxLength"`
	Required    []string         `yaml:"required"`
	Properties  ordered[*schema] `yaml:"properties"`
	Items       *schema          `yaml:"items"`
	AllOf       []*schema        `yaml:"allOf"`
	Additional  yaml.Node        `yaml:"additionalProperties"` // true, false or a schema
}

// ordered is a map in the order in which it is written.
type ordered[T any] []pair[T]

type pair[T any] struct {
	Key   string
	Value T
}

// UnmarshalYAML reads a mapping.
func (o *ordered[T]) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("api: line %d is no mapping", node.Line)
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		entry := pair[T]{Key: node.Content[i].Value}
		if err := node.Content[i+1].Decode(&entry.Value); err != nil {
			return err
		}
		*o = append(*o, entry)
	}
	return nil
}

// get finds what a reference such as #/components/schemas/Problem names.
func (o ordered[T]) get(reference string) (found T, err error) {
	name := last(reference)
	for _, entry := range o {
		if entry.Key == name {
			return entry.Value, nil
		}
	}
	return found, fmt.Errorf("api: there is no %s", reference)
}

// last is the name at the end of a reference.
func last(reference string) string { return reference[strings.LastIndex(reference, "/")+1:] }

// oneOrMany is a text or a list of texts.
type oneOrMany []string

// UnmarshalYAML reads either.
func (o *oneOrMany) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*o = oneOrMany{node.Value}
		return nil
	}
	return node.Decode((*[]string)(o))
}
