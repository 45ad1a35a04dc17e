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
	if decoder, ok := reflect.TypeAssert[interface{ Decode(text string) error }](field.Addr()); ok {
		return decoder.Decode(text)
	}
	switch {
	case field.Type() == reflect.TypeFor[time.Duration]():
		parsed, err := time.ParseDuration(text)
		field.SetInt(int64(parsed))
		return err
	case field.Kind() == reflect.String:
		field.SetString(text)
		return nil
	case field.Kind() == reflect.Bool:
		parsed, err := strconv.ParseBool(text)
		field.SetBool(parsed)
		return err
	case field.CanInt():
		parsed, err := strconv.ParseInt(text, 10, field.Type().Bits())
		field.SetInt(parsed)
		return err
	case field.CanUint():
		parsed, err := strconv.ParseUint(text, 10, field.Type().Bits())
		field.SetUint(parsed)
		return err
	case field.CanFloat():
		parsed, err := strconv.ParseFloat(text, field.Type().Bits())
		field.SetFloat(parsed)
		return err
	default:
		return fmt.Errorf("type %s is not supported", field.Type())
	}
}
