package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kelseyhightower/envconfig"
)

// bounds are the valid values of a variable, from its range tag: low..high for numbers, durations and sizes,
// one|other|third for texts.
type bounds struct {
	low, high string
	choices   []string
}

func (v variable) bounds() bounds {
	tag := v.tag.Get("range")
	if tag == "" {
		return bounds{}
	}
	if low, high, ok := strings.Cut(tag, ".."); ok {
		return bounds{low: low, high: high}
	}
	return bounds{choices: strings.Split(tag, "|")}
}

func (b bounds) isInterval() bool { return b.low != "" }

// String returns the text for the table of variables.
func (b bounds) String() string {
	if b.isInterval() {
		return b.low + " to " + b.high
	}
	return enumerate(b.choices, "or")
}

// outOfRange returns why a value is not valid, or "".
func (v variable) outOfRange(value reflect.Value) (fault string) {
	b := v.bounds()
	switch {
	case b.isInterval():
		if compare(value, b.low) < 0 || compare(value, b.high) > 0 {
			return fmt.Sprintf("is %v, and must be from %s to %s", value, b.low, b.high)
		}
	case b.choices != nil:
		if !slices.Contains(b.choices, value.String()) {
			return fmt.Sprintf("is %s, and must be %s", quote(value.String()), b)
		}
	}
	return ""
}

// compare compares a number with the text of another one of the same type.
func compare(value reflect.Value, text string) int {
	other := reflect.New(value.Type())
	if err := parseNumber(other, text); err != nil {
		panic(fmt.Sprintf("config: a range tag holds %q, which is no %s", text, value.Type()))
	}
	switch {
	case value.CanInt():
		return cmp.Compare(value.Int(), other.Elem().Int())
	case value.CanUint():
		return cmp.Compare(value.Uint(), other.Elem().Uint())
	default:
		return cmp.Compare(value.Float(), other.Elem().Float())
	}
}

func parseNumber(target reflect.Value, text string) error {
	switch to := target.Interface().(type) {
	case envconfig.Decoder:
		return to.Decode(text)
	case *time.Duration:
		duration, err := time.ParseDuration(text)
		*to = duration
		return err
	}
	number, err := strconv.ParseFloat(text, 64)
	target.Elem().Set(reflect.ValueOf(number).Convert(target.Type().Elem()))
	return err
}
