package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
)

// MaxDuration is the maximum of a [Duration].
const MaxDuration = 24 * time.Hour

// Duration is the value of a flag that is a positive time of at most [MaxDuration].
type Duration time.Duration

// Set parses a time with a unit, for example "5s".
func (d *Duration) Set(text string) error {
	parsed, err := time.ParseDuration(text)
	if err != nil || parsed <= 0 || parsed > MaxDuration {
		return fmt.Errorf("%q is not a time with a unit, above 0 and at most 24h, for example 5s or 500ms", text)
	}
	*d = Duration(parsed)
	return nil
}

// String returns the time in the form of Set.
func (d *Duration) String() string { return time.Duration(*d).String() }

// Int is the value of a flag that is a whole number from Min to Max.
type Int struct {
	Value    *int
	Min, Max int
}

// Set parses a decimal number.
func (i *Int) Set(text string) error {
	parsed, err := strconv.Atoi(text)
	if err != nil || parsed < i.Min || parsed > i.Max {
		return fmt.Errorf("%q is not a whole number from %d to %d", text, i.Min, i.Max)
	}
	*i.Value = parsed
	return nil
}

// String returns the number in the form of Set.
func (i *Int) String() string { return strconv.Itoa(*i.Value) }

// OneOf returns a value whose error lists the options that value accepts.
func OneOf(value kingpin.Value, options []string) kingpin.Value { return &oneOf{value, options} }

type oneOf struct {
	kingpin.Value
	options []string
}

// Set sets the value.
func (o *oneOf) Set(text string) error {
	if err := o.Value.Set(text); err != nil {
		return fmt.Errorf("%q is not one of %s", text, strings.Join(o.options, ", "))
	}
	return nil
}
