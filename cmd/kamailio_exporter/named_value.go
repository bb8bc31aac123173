package main

import (
	"fmt"
	"time"

	"github.com/alecthomas/kingpin/v2"
)

// namedValue is the value of a flag, with the flag's name in its errors, which
// kingpin leaves out.
type namedValue struct {
	kingpin.Value
	flag string
}

func named(flag string, value kingpin.Value) *namedValue { return &namedValue{value, flag} }

// Set is that of the value.
func (v *namedValue) Set(text string) error {
	if err := v.Value.Set(text); err != nil {
		return fmt.Errorf("--%s: %w", v.flag, err)
	}
	return nil
}

// IsCumulative tells kingpin whether the flag may be given several times.
func (v *namedValue) IsCumulative() bool {
	list, ok := v.Value.(interface{ IsCumulative() bool })
	return ok && list.IsCumulative()
}

// seconds is the value of a flag that is a time.
type seconds time.Duration

// Set takes a time with its unit.
func (s *seconds) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is no time, use for example 5s or 500ms", text)
	}
	*s = seconds(d)
	return nil
}

// String is the time as the flag takes it.
func (s *seconds) String() string { return time.Duration(*s).String() }
