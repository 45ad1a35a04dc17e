package configtypes

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// FillDefaults sets fields that are zero to the value of their default tag, for a configuration that was not read from
// the environment. It sets only the named fields, or all if no name is given. Config is a pointer to a struct.
func FillDefaults(config any, names ...string) error {
	value := reflect.ValueOf(config).Elem()
	for i := range value.NumField() {
		field := value.Type().Field(i)
		text, ok := field.Tag.Lookup("default")
		if !ok || !value.Field(i).IsZero() || len(names) > 0 && !slices.Contains(names, field.Name) {
			continue
		}
		if err := parseInto(value.Field(i), text); err != nil {
			return fmt.Errorf("default of %s: %w", field.Name, err)
		}
	}
	return nil
}

// parseInto sets a field to the value that text stands for, as package config does with the environment.
func parseInto(field reflect.Value, text string) error {
	if decoder, ok := field.Addr().Interface().(interface{ Decode(text string) error }); ok {
		return decoder.Decode(text)
	}
	var parsed any
	var err error
	switch field.Interface().(type) {
	case time.Duration:
		parsed, err = time.ParseDuration(text)
	case string:
		parsed = text
	case bool:
		parsed, err = strconv.ParseBool(text)
	case int:
		parsed, err = strconv.Atoi(text)
	case float64:
		parsed, err = strconv.ParseFloat(text, 64)
	default:
		err = fmt.Errorf("type %s is not supported", field.Type())
	}
	if err == nil {
		field.Set(reflect.ValueOf(parsed))
	}
	return err
}
