package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Reference is the specification for people to read: what it refers to is put where it is needed. Texts are plain, with code in
// backticks.
type Reference struct {
	Title       string
	Summary     string
	Version     string
	Description string
	Groups      []Group
	Schemas     []Schema
}

// Group are operations that belong together.
type Group struct {
	Name        string
	Description string
	Operations  []Operation
}

// Operation is what one method does at one path.
type Operation struct {
	ID          string
	Method      string // in capitals
	Path        string
	Summary     string
	Description string
	Access      []string // how a token can be carried; none where it needs none, or where the path has it
	Parameters  []Parameter
	Request     *Content
	Answers     []Answer // those that tell of success first
	Failures    []Answer
}

// Parameter is one of a path or of a query.
type Parameter struct {
	Name        string
	In          string // path or query
	Required    bool
	Type        Type
	Description string
}

// Answer is one that can come.
type Answer struct {
	Status  string
	Headers []string // their names
	Content
}

// Content is what a request or an answer carries.
type Content struct {
	Description string
	Media       []string
	Type        Type
	Properties  []Property // of an object that has no name
	Examples    []Example
}

// Example is JSON, in lines.
type Example struct {
	Summary string
	Text    string
}

// Read makes the reference of the specification.
func Read() (*Reference, error) {
	text, err := Specification()
	if err != nil {
		return nil, err
	}
	var d document
	if err := yaml.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("api: the specification cannot be read: %w", err)
	}
	r := &Reference{Title: d.Info.Title, Summary: d.Info.Summary, Version: d.Info.Version, Description: d.Info.Description}
	for _, t := range d.Tags {
		group := Group{Name: t.Name, Description: t.Description}
		if group.Operations, err = d.operations(t.Name); err != nil {
			return nil, err
		}
		r.Groups = append(r.Groups, group)
	}
	for _, named := range d.Components.Schemas {
		r.Schemas = append(r.Schemas, Schema{
			Name: named.Key, Description: named.Value.Description, Type: typeOf(named.Value), Properties: properties("", named.Value),
		})
	}
	return r, nil
}

// operations are those with a tag.
func (d *document) operations(tag string) (list []Operation, err error) {
	for _, path := range d.Paths {
		for _, method := range path.Value {
			if !slices.Contains(method.Value.Tags, tag) {
				continue
			}
			one, err := d.operation(method.Value)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", method.Key, path.Key, err)
			}
			one.Method, one.Path = strings.ToUpper(method.Key), path.Key
			list = append(list, one)
		}
	}
	return list, nil
}

func (d *document) operation(o operation) (one Operation, err error) {
	one = Operation{ID: o.ID, Summary: o.Summary, Description: o.Description}
	if one.Access, err = d.access(o.Security); err != nil {
		return one, err
	}
	for _, p := range o.Parameters {
		if p.Ref != "" {
			if p, err = d.Components.Parameters.get(p.Ref); err != nil {
				return one, err
			}
		}
		one.Parameters = append(one.Parameters, Parameter{p.Name, p.In, p.Required, typeOf(p.Schema), p.Description})
	}
	if o.Body != nil {
		request, err := d.answer("", *o.Body, d.Components.RequestBodies)
		if err != nil {
			return one, err
		}
		one.Request = &request.Content
	}
	for _, response := range o.Responses {
		answer, err := d.answer(response.Key, response.Value, d.Components.Responses)
		if err != nil {
			return one, err
		}
		if strings.HasPrefix(answer.Status, "2") {
			one.Answers = append(one.Answers, answer)
		} else {
			one.Failures = append(one.Failures, answer)
		}
	}
	slices.SortFunc(one.Failures, func(a, b Answer) int { return strings.Compare(a.Status, b.Status) })
	return one, nil
}

func (d *document) access(security []map[string][]string) (ways []string, err error) {
	for _, alternative := range security {
		for name := range alternative {
			scheme, err := d.Components.SecuritySchemes.get(name)
			if err != nil {
				return nil, err
			}
			ways = append(ways, scheme.Description)
		}
	}
	return ways, nil
}

func (d *document) answer(status string, b body, named ordered[body]) (a Answer, err error) {
	if b.Ref != "" {
		if b, err = named.get(b.Ref); err != nil {
			return a, err
		}
	}
	a = Answer{Status: status, Content: Content{Description: b.Description}}
	for _, h := range b.Headers {
		a.Headers = append(a.Headers, h.Key)
	}
	for _, m := range b.Content {
		a.Media = append(a.Media, m.Key)
		if a.Type == nil && m.Value.Schema != nil {
			a.Type = typeOf(m.Value.Schema)
			a.Properties = properties("", m.Value.Schema)
		}
		if a.Examples, err = m.Value.append(a.Examples); err != nil {
			return a, err
		}
	}
	return a, nil
}

// append adds the examples.
func (m media) append(list []Example) ([]Example, error) {
	examples := m.Examples
	if !m.Example.IsZero() {
		examples = append(ordered[example]{{"", example{Value: m.Example}}}, examples...)
	}
	for _, e := range examples {
		text, err := indent(&e.Value.Value)
		if err != nil {
			return nil, err
		}
		summary := e.Value.Summary
		if summary == "" {
			summary = e.Key
		}
		list = append(list, Example{summary, text})
	}
	return list, nil
}

// indent writes a value as JSON, its keys in their order.
func indent(node *yaml.Node) (string, error) {
	var plain, lines bytes.Buffer
	if err := writeJSON(&plain, node); err != nil {
		return "", err
	}
	err := json.Indent(&lines, plain.Bytes(), "", "  ")
	return lines.String(), err
}

func writeJSON(out *bytes.Buffer, node *yaml.Node) error {
	switch node.Kind {
	case yaml.MappingNode:
		return writeMembers(out, node, '{', '}', 2)
	case yaml.SequenceNode:
		return writeMembers(out, node, '[', ']', 1)
	default:
		var value any
		if err := node.Decode(&value); err != nil {
			return err
		}
		text, err := json.Marshal(value)
		out.Write(text)
		return err
	}
}

// writeMembers writes a list, or a mapping, whose nodes are keys and values in turn.
func writeMembers(out *bytes.Buffer, node *yaml.Node, begin, end byte, each int) error {
	out.WriteByte(begin)
	for i, child := range node.Content {
		switch {
		case i%each == 1:
			out.WriteByte(':')
		case i > 0:
			out.WriteByte(',')
		}
		if err := writeJSON(out, child); err != nil {
			return err
		}
	}
	out.WriteByte(end)
	return nil
}
