package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"time"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
	"github.com/deepimage-receiver/receiver/internal/sanitize"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/kelseyhightower/envconfig"
)

// maxShown bounds the part of a wrong value in its error, in bytes.
const maxShown = 60

// setDefault sets the variable to the value of its default tag, or leaves it zero.
func (v variable) setDefault() (fault string) {
	spec := reflect.New(reflect.StructOf([]reflect.StructField{{Name: "Value", Type: v.field.Type(), Tag: v.tag}}))
	if err := configtypes.FillDefaults(spec.Interface()); err != nil {
		return err.Error()
	}
	v.field.Set(spec.Elem().Field(0))
	return ""
}

// decode sets the variable from the environment with envconfig. Each variable is decoded by itself, because envconfig stops
// at the first error, and with its full name in the tag, because envconfig would also accept the name without the prefix.
func (v variable) decode() (fault string) {
	if list, ok := reflect.TypeAssert[*secret.List](v.field.Addr()); ok && v.itemStart() != nil {
		if err := list.DecodeItems(os.Getenv(v.name), v.itemStart()); err != nil {
			return err.Error()
		}
		return ""
	}
	spec := reflect.New(reflect.StructOf([]reflect.StructField{{
		Name: "Value",
		Type: v.field.Type(),
		Tag:  reflect.StructTag(fmt.Sprintf("envconfig:%q", v.name)),
	}}))
	if err := envconfig.Process("", spec.Interface()); err != nil {
		return v.explain(err)
	}
	value := spec.Elem().Field(0)
	if fault := v.outOfRange(value); fault != "" {
		return fault
	}
	v.field.Set(value)
	return ""
}

// explain returns the text for an error of envconfig, whose own text shows the value of a secret.
func (v variable) explain(err error) string {
	var parse *envconfig.ParseError
	if !errors.As(err, &parse) {
		return "cannot be read"
	}
	if _, ok := reflect.TypeAssert[envconfig.Decoder](v.field.Addr()); ok {
		return parse.Err.Error()
	}
	if v.isSecret() {
		return "is not valid"
	}
	return fmt.Sprintf("is %s, and must be %s", quote(parse.Value), v.expected())
}

// expected describes the valid values.
func (v variable) expected() string {
	kind := "valid"
	switch v.field.Interface().(type) {
	case bool:
		return "true or false"
	case time.Duration:
		kind = "a duration such as 30s or 10m"
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		kind = "a whole number"
	case float32, float64:
		kind = "a number"
	}
	if r := v.bounds(); r.isInterval() {
		return kind + ", from " + r.low + " to " + r.high
	}
	return kind
}

// quote returns a value for a fault: bounded, and harmless to a terminal.
func quote(value string) string { return strconv.Quote(sanitize.Clip(value, maxShown)) }
