package main

import (
	"fmt"
	"slices"
	"strings"
)

// parsedList is the value of a flag like commaList, of names that have a form
// of their own.
type parsedList[T interface {
	comparable
	fmt.Stringer
}] struct {
	list  *[]T
	parse func(string) (T, error)
}

// Set adds what one use of the flag names.
func (l *parsedList[T]) Set(text string) error {
	var names commaList
	if err := names.Set(text); err != nil {
		return err
	}
	for _, name := range names {
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

// String is the names as the flag takes them.
func (l *parsedList[T]) String() string {
	var names []string
	for _, parsed := range *l.list {
		names = append(names, parsed.String())
	}
	return strings.Join(names, ",")
}

// IsCumulative tells kingpin that the flag may be given several times.
func (l *parsedList[T]) IsCumulative() bool { return true }
