package web

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/scrape"
)

// probeParameters are the parameters of the page with the metrics of one target.
var probeParameters = []string{targetParameter, moduleParameter, collectParameter, nameParameter, debugParameter}

// maxListed is the maximum number of target names in an error.
const maxListed = 20

// findProbe returns the target and the selection that the parameters name.
func findProbe(pool *scrape.Pool, values url.Values) (scraper, error) {
	name := values.Get(targetParameter)
	if name == "" {
		return nil, fmt.Errorf("the parameter %s is missing; %s", targetParameter, knownTargets(pool))
	}
	target := pool.Target(name)
	if target == nil && strings.ContainsAny(name, ":/") {
		return nil, fmt.Errorf("%.100q is not the name of a target: URIs are not allowed here, they must be in the configuration file; %s", name, knownTargets(pool))
	}
	if target == nil {
		return nil, fmt.Errorf("there is no target %.100q; %s", name, knownTargets(pool))
	}
	selection, err := target.Select(values.Get(moduleParameter), values[collectParameter])
	if err != nil {
		return nil, err
	}
	switch values.Get(debugParameter) {
	case "true":
		return selection.Debug(), nil
	case "", "false":
		return selection, nil
	default:
		return nil, errors.New("the parameter debug must be true or false")
	}
}

// knownTargets lists the names of the targets.
func knownTargets(pool *scrape.Pool) string {
	var names []string
	for _, target := range pool.Configs() {
		names = append(names, target.Name)
	}
	switch {
	case len(names) == 0:
		return "no targets are configured: list them in the file of --config.file"
	case len(names) > maxListed:
		return fmt.Sprintf("the targets are %s and %d more, see /sd", strings.Join(names[:maxListed], ", "), len(names)-maxListed)
	default:
		return "the targets are " + strings.Join(names, ", ")
	}
}
