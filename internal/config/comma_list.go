package config

import (
	"fmt"
	"slices"
	"strings"
)

// commaList is the value of a flag that takes a list separated by commas and may
// be repeated. Spaces around an element, and elements that are there already, are
// left out.
type commaList[T comparable] struct {
	list  *[]T
	parse func(string) (T, error)
}

// names returns a commaList of names, which may be anything but empty.
func names(list *[]string) *commaList[string] {
	return &commaList[string]{list, func(name string) (string, error) { return name, nil }}
}

// Set adds the elements of one use of the flag.
func (l *commaList[T]) Set(text string) error {
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		if name == "" {
			return fmt.Errorf("%q has an empty name: use one name, or several with a comma between them", text)
		}
		parsed, err := l.parse(name)
		if err != nil {
			return err
		}
		if !slices.Contains(*l.list, parsed) {
			*l.list = append(*l.list, parsed)
		}
	}
	return nil
}

// String returns the list as Set takes it.
func (l *commaList[T]) String() string {
	texts := make([]string, 0, len(*l.list))
	for _, element := range *l.list {
		texts = append(texts, fmt.Sprint(element))
	}
	return strings.Join(texts, ",")
}

// IsCumulative reports to kingpin that the flag may be repeated.
func (l *commaList[T]) IsCumulative() bool { return true }
