package config

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/deepimage-receiver/receiver/internal/sanitize"
	"github.com/kelseyhightower/envconfig"
)

// maxShown is how much of a wrong value is repeated in its fault, in bytes.
const maxShown = 60

// decode lets envconfig fill the one variable, from the environment or its default.
// Each is processed on its own, because envconfig stops at the first error; and with its full name in the tag, because
// envconfig would otherwise also take the name without the prefix.
func (v variable) decode() (fault string) {
	spec := reflect.New(reflect.StructOf([]reflect.StructField{{
		Name: "Value",
		Type: v.field.Type(),
		Tag:  reflect.StructTag(fmt.Sprintf("envconfig:%q default:%q", v.name, v.tag.Get("default"))),
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

// explain makes a sentence of envconfig's error, whose own text shows the value also of a secret.
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

// expected describes the values that the variable takes.
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
