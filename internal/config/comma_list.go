package config

import (
	"fmt"
	"slices"
	"strings"
)

// commaList is the value of a repeatable flag whose elements are separated by commas.
// Spaces around elements are removed, and repeated elements are dropped.
type commaList[T comparable] struct {
	list  *[]T
	parse func(string) (T, error)
}

// names returns a commaList of texts that are not empty.
func names(list *[]string) *commaList[string] {
	return &commaList[string]{list, func(name string) (string, error) { return name, nil }}
}

// Set adds the elements of one use of the flag.
func (l *commaList[T]) Set(text string) error {
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		if name == "" {
			return fmt.Errorf("%q has an empty name: use one name, or several names separated by commas", text)
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

// String returns the list in the form of Set.
func (l *commaList[T]) String() string {
	texts := make([]string, 0, len(*l.list))
	for _, element := range *l.list {
		texts = append(texts, fmt.Sprint(element))
	}
	return strings.Join(texts, ",")
}

// IsCumulative tells kingpin that the flag may be repeated.
func (l *commaList[T]) IsCumulative() bool { return true }
