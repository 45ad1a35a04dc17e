package api

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Schema is a kind of object with a name.
type Schema struct {
	Name        string
	Description string
	Type        Type
	Properties  []Property
}

// Property is a member of an object; those of objects within it have paths such as disks[].path.
type Property struct {
	Name        string
	Required    bool
	Type        Type
	Description string
}

// Type says in words what a value is.
type Type []Words

// Words are a part of it, which may name a schema.
type Words struct {
	Text   string
	Schema string // that the text names; "" if it names none
}

// String is the type without its links.
func (t Type) String() string {
	var text strings.Builder
	for _, words := range t {
		text.WriteString(words.Text)
	}
	return text.String()
}

func plain(text string) Type { return Type{{Text: text}} }

// typeOf tells what a schema lets through.
func typeOf(s *schema) Type {
	switch {
	case s == nil:
		return plain("anything")
	case s.Ref != "":
		return Type{{Text: last(s.Ref), Schema: last(s.Ref)}}
	case len(s.AllOf) > 0:
		return typeOf(s.AllOf[0]) // what follows narrows it: the status of a problem, which stands beside it anyway
	case s.Const != nil:
		return plain(*s.Const)
	case len(s.Enum) > 0:
		return plain(strings.Join(s.Enum, " | "))
	case s.Items != nil:
		return append(plain("list of "), typeOf(s.Items)...)
	case s.Additional.Kind == yaml.MappingNode && len(s.Properties) == 0:
		return mapType(s)
	case len(s.Type) == 0:
		return plain("anything")
	}
	return plain(strings.Join(append([]string{strings.Join(s.Type, " or ")}, bounds(s)...), ", "))
}

// mapType is that of an object whose keys can be any.
func mapType(s *schema) Type {
	var values schema
	if err := s.Additional.Decode(&values); err != nil {
		return plain("object")
	}
	return append(plain("object of "), typeOf(&values)...)
}

// bounds are what a value keeps to beside its type.
func bounds(s *schema) (list []string) {
	add := func(name string, value *string) {
		if value != nil {
			list = append(list, name+" "+*value)
		}
	}
	if s.Format != "" {
		list = append(list, s.Format)
	}
	add("from", s.Minimum)
	add("to", s.Maximum)
	if s.MaxLength != nil {
		list = append(list, "up to "+*s.MaxLength+" characters")
	}
	add("default", s.Default)
	return list
}

// properties are the members of an object, and of those in it that have no name.
func properties(prefix string, s *schema) (list []Property) {
	for _, p := range s.Properties {
		one := Property{
			Name: prefix + p.Key, Required: slices.Contains(s.Required, p.Key), Type: typeOf(p.Value), Description: p.Value.Description,
		}
		list = append(list, one)
		if p.Value.Items != nil {
			list = append(list, properties(one.Name+"[].", p.Value.Items)...)
		} else {
			list = append(list, properties(one.Name+".", p.Value)...)
		}
	}
	return list
}
