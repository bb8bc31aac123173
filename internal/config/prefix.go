package config

import (
	"errors"
	"fmt"
	"net/url"
	pathlib "path"
	"slices"
	"strings"
)

// errExternalURL does not contain the URL, because a mistyped URL may contain a password.
var errExternalURL = errors.New("this is neither a URL such as https://example.net/kamailio nor a path such as /kamailio")

// parseExternalURL parses the URL at which users reach the exporter, for example
// through a proxy. As in Prometheus, it may be a path only. The URL of an empty text is
// empty.
func parseExternalURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errExternalURL
	case u.User != nil:
		return nil, errors.New("a URL must not contain a password, because process lists and logs show URLs")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the URL must not have a query or a fragment")
	case u.Scheme == "" && u.Host == "" && (u.Path == "" || u.Path[0] == '/'):
		return u, nil
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "":
		return u, nil
	}
	return nil, errExternalURL
}

// routePrefix returns the prefix of the paths of all pages, without a slash at its end;
// "" for none. As in Prometheus and blackbox_exporter it is prefix, or the path of the
// external URL if prefix is empty. Slashes at the start and the end are optional.
func routePrefix(prefix string, external *url.URL) (string, error) {
	if prefix == "" {
		prefix = external.Path
	}
	prefix = strings.Trim(prefix, "/")
	if prefix == "" {
		return "", nil
	}
	prefix = "/" + prefix
	return prefix, checkPath(prefix)
}

// checkPath returns an error if path cannot be the path of a page.
func checkPath(path string) error {
	switch {
	case !strings.HasPrefix(path, "/"):
		return fmt.Errorf("the path %q must start with a slash", path)
	case strings.ContainsAny(path, "{}? #%") || strings.Contains(path, "//"):
		return fmt.Errorf("the path %q must not have //, {, }, ?, #, %% or a space in it", path)
	case pathlib.Clean(path) != path && pathlib.Clean(path)+"/" != path:
		return fmt.Errorf("the path %q must not have . or .. in it", path)
	}
	return nil
}

// checkPagePath returns an error if path cannot be the path of the metrics.
func checkPagePath(path string) error {
	if err := checkPath(path); err != nil {
		return err
	}
	if strings.HasPrefix(path, "/-/") || strings.HasPrefix(path, "/status/") || slices.Contains([]string{"/probe", "/sd", "/style.css"}, path) {
		return fmt.Errorf("the path %q is that of another page: it must not be /probe, /sd, /style.css or start with /-/ or /status/", path)
	}
	return nil
}
