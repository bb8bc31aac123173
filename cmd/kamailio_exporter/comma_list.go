package main

import (
	"errors"
	"slices"
	"strings"
)

// commaList is the value of a flag that takes names separated by commas, and
// may be given several times.
type commaList []string

// Set adds the names of one use of the flag.
func (l *commaList) Set(text string) error {
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		if name == "" {
			return errors.New("a name is missing between commas")
		}
		if !slices.Contains(*l, name) {
			*l = append(*l, name)
		}
	}
	return nil
}

// String is the names as the flag takes them.
func (l *commaList) String() string { return strings.Join(*l, ",") }

// IsCumulative tells kingpin that the flag may be given several times.
func (l *commaList) IsCumulative() bool { return true }
