package config

import (
	"maps"
	"os"
	"slices"

	"go.yaml.in/yaml/v3"
)

// readWebConfig returns the names of the users in the file of --web.config.file, sorted, and whether it has a TLS server. The file
// has been checked; "" means that there is none.
func readWebConfig(file string) (users []string, hasTLS bool, err error) {
	if file == "" {
		return nil, false, nil
	}
	content, err := os.ReadFile(file) //nolint:gosec // the user names the file
	if err != nil {
		return nil, false, err
	}
	var settings struct {
		TLS   map[string]yaml.Node `yaml:"tls_server_config"`
		Users map[string]yaml.Node `yaml:"basic_auth_users"`
	}
	if err := yaml.Unmarshal(content, &settings); err != nil {
		return nil, false, fileError(file, err)
	}
	return slices.Sorted(maps.Keys(settings.Users)), len(settings.TLS) > 0, nil
}
