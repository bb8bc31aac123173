package web

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// The parameters of the pages with metrics.
const (
	targetParameter  = "target"
	moduleParameter  = "module"
	collectParameter = "collect[]"
	nameParameter    = "name[]"
	debugParameter   = "debug"
)

// parseParameters parses the query of a URL. The error names a parameter that is not allowed, or that occurs more than once
// without being a list.
func parseParameters(query string, allowed []string) (url.Values, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, fmt.Errorf("the query of the URL is not valid: %w", err)
	}
	for name, list := range values {
		if !slices.Contains(allowed, name) {
			return nil, fmt.Errorf("unknown parameter %.100q; the parameters are %s", name, strings.Join(allowed, ", "))
		}
		if len(list) > 1 && !strings.HasSuffix(name, "[]") {
			return nil, fmt.Errorf("the parameter %s must not be repeated", name)
		}
		if slices.Contains(list, "") {
			return nil, fmt.Errorf("the parameter %s must not be empty", name)
		}
	}
	return values, nil
}
